#pragma once

#include <optional>
#include <string>

namespace lathe::device {

/// What a core did, in clock ticks since it was switched on (/proc/stat).
struct CoreTicks {
  double total = 0.0;
  double busy = 0.0;   ///< everything but idle, waiting and stolen
  double irq = 0.0;    ///< hardware and software interrupts
  double steal = 0.0;  ///< the host ran something else
};

/// Finds the line of `core` in the text of /proc/stat; nothing if there is none.
std::optional<CoreTicks> core_ticks(const char* stat, int core);

}  // namespace lathe::device
