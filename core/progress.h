#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace lathe {

/// Receives the progress of one long operation. Libraries report; the program decides how to show
/// it. Calls come from one thread at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A stage of `total` equal units begins, for example ("train", 4500, "step"). The unit is an
  /// English noun in the singular; its plural is shown where there are several.
  virtual void begin(const std::string& stage, int64_t total, const std::string& unit) = 0;
  /// `done` units are finished; `note` is a short text such as "loss 0.41  largest 0.88  smallest
  /// 0.83".
  virtual void update(int64_t done, const std::string& note) = 0;
  virtual void end() = 0;
};

/// Ignores everything. Immutable.
Progress& no_progress();

/// A bar with rate and ETA on a terminal, or one plain line at most every `line_interval_s` seconds
/// otherwise; nothing for stages shorter than two seconds. Writes to standard error.
/// ETA counts only units done in this process, so a resumed stage is estimated rightly.
std::unique_ptr<Progress> terminal_progress(double line_interval_s = 10.0);

/// How a progress display writes; the defaults are terminal_progress().
struct ProgressOptions {
  bool terminal = false;          ///< a bar that is redrawn, else plain lines
  int columns = 80;               ///< width of the terminal; a longer bar is cut
  double line_interval_s = 10.0;  ///< least time between two plain lines
  double quiet_s = 2.0;           ///< a stage that ends earlier shows nothing
  Clock* clock = &steady_clock();
  /// Receives one finished line, without its line break.
  std::function<void(std::string_view)> write_line;
  /// Receives the bar that replaces the one before; empty removes it. Only for a terminal.
  std::function<void(std::string_view)> write_status;
};

/// Returns a display that writes through `options`.
/// \throws InvariantError if a function that the display needs is missing.
std::unique_ptr<Progress> make_progress(ProgressOptions options);

/// Returns 95 as "1 min 35 s", 0.0123 as "12.3 ms", 7384 as "2 h 03 min".
std::string format_duration(double seconds);
/// Returns 3504872 as "3.50 M", 300774272 as "300.8 M", 912 as "912".
std::string format_count(double count);
/// Returns 14019488 as "14.0 MB" (powers of 1000).
std::string format_bytes(double bytes);

}  // namespace lathe
