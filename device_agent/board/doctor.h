#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "device_agent/board/board.h"
#include "device_agent/board/core_ticks.h"

namespace lathe::device {

enum class Severity {
  Note,     ///< could be better
  Warning,  ///< makes measurements noisier or slower
  Problem,  ///< makes measurements wrong
};

/// Something that stands between this board and good measurements.
struct Finding {
  Severity severity = Severity::Note;
  std::string topic;   ///< "governor"
  std::string read;    ///< path and value, "/proc/loadavg = 1.20"
  std::string effect;  ///< what it does to measurements
  std::string remedy;  ///< the command, or what to do by hand
};

/// What the doctor is told of the agent.
struct DoctorOptions {
  std::filesystem::path root = "/";
  std::vector<int> usable_cores;   ///< measuring core last; not empty
  int64_t memory_limit_bytes = 0;  ///< of a worker
  bool emulated = false;
};

/// Looks for what makes measurements on this board noisy, below any root. Thread-safe.
class Doctor {
 public:
  /// Notes the cores' counters, so that the first examination has something to compare with.
  explicit Doctor(DoctorOptions options);

  /// Returns the findings, worst first. What keeps the cores busy is counted since an earlier
  /// examination (or the construction) at least half a second ago; `measuring`: a network is being
  /// measured, so that a busy core is no finding.
  std::vector<Finding> examine(bool measuring);

 private:
  /// Ticks of every core that passed since the last reading; empty if too few have.
  std::map<int, CoreTicks> passed();

  DoctorOptions options_;
  std::mutex mutex_;
  std::map<int, CoreTicks> last_;
};

}  // namespace lathe::device
