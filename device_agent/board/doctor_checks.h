#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "device_agent/board/doctor.h"

namespace lathe::device {

/// What the checks look at, and where they put what they find.
class Patient {
 public:
  Patient(const DoctorOptions& options, std::map<int, CoreTicks> passed, bool measuring);

  const DoctorOptions options;
  const BoardInfo board;
  const int core;  ///< the measuring one
  const bool measuring;
  const std::map<int, CoreTicks> passed;  ///< of each core, lately; empty: too little time passed
  std::vector<Finding> findings;

  /// A file below the root, named without its leading slash.
  std::optional<std::string> text(const std::string& file) const;
  std::optional<int64_t> number(const std::string& file) const;
  bool exists(const std::string& file) const;
  /// "sys/devices/system/cpu/cpu3/NAME" of the measuring core.
  std::string core_file(const std::string& name) const;

  void add(Severity severity, const std::string& topic, const std::string& read,
           const std::string& effect, const std::string& remedy);
};

/// "/FILE = VALUE", as findings show it.
std::string shown(const std::string& file, const std::string& value);
/// `value` with `digits` decimals.
std::string fixed(double value, int digits);

// Each adds what it finds. The clock, heat and power ...
void check_emulation(Patient& patient);
void check_governor(Patient& patient);
void check_clock_limits(Patient& patient);
void check_boost(Patient& patient);
void check_throttling(Patient& patient);
void check_temperature(Patient& patient);
void check_energy(Patient& patient);
// ... and what else runs, and what the agent may do.
void check_shared_core(Patient& patient);
void check_busy_core(Patient& patient);
void check_load(Patient& patient);
void check_reserved_core(Patient& patient);
void check_memory(Patient& patient);
void check_kernel(Patient& patient);
void check_rights(Patient& patient);
void check_quota(Patient& patient);

}  // namespace lathe::device
