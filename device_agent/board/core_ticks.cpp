#include "device_agent/board/core_ticks.h"

#include <cstdlib>
#include <cstring>

namespace lathe::device {

// Columns of "cpuN": user nice system idle iowait irq softirq steal, in clock ticks.
std::optional<CoreTicks> core_ticks(const char* stat, int core) {
  const std::string key = "\ncpu" + std::to_string(core) + " ";
  const char* line = std::strstr(stat, key.c_str());
  if (line == nullptr) return std::nullopt;
  char* at = const_cast<char*>(line) + key.size();  // strtoll's end pointer is not const
  double columns[8] = {};
  CoreTicks ticks;
  for (double& column : columns) {
    column = static_cast<double>(std::strtoll(at, &at, 10));
    ticks.total += column;
  }
  ticks.irq = columns[5] + columns[6];
  ticks.steal = columns[7];
  ticks.busy = ticks.total - columns[3] - columns[4] - ticks.steal;
  return ticks;
}

}  // namespace lathe::device
