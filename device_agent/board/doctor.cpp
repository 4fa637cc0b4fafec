#include "device_agent/board/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "device_agent/board/doctor_checks.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace {

std::map<int, CoreTicks> read_ticks(const std::filesystem::path& root) {
  const std::string stat = read_text(root / "proc/stat").value_or("");
  std::map<int, CoreTicks> ticks;
  for (const int core :
       parse_core_list(read_text(root / "sys/devices/system/cpu/online").value_or(""))) {
    if (const auto found = core_ticks(stat.c_str(), core)) ticks[core] = *found;
  }
  return ticks;
}

}  // namespace

Patient::Patient(const DoctorOptions& given, std::map<int, CoreTicks> ticks, bool busy)
    : options(given),
      board(read_board(given.root)),
      core(given.usable_cores.back()),
      measuring(busy),
      passed(std::move(ticks)) {}

std::optional<std::string> Patient::text(const std::string& file) const {
  return read_text(options.root / file);
}

std::optional<int64_t> Patient::number(const std::string& file) const {
  return read_number(options.root / file);
}

bool Patient::exists(const std::string& file) const {
  std::error_code error;
  return std::filesystem::exists(options.root / file, error);
}

std::string Patient::core_file(const std::string& name) const {
  return "sys/devices/system/cpu/cpu" + std::to_string(core) + "/" + name;
}

void Patient::add(Severity severity, const std::string& topic, const std::string& read,
                  const std::string& effect, const std::string& remedy) {
  findings.push_back({severity, topic, read, effect, remedy});
}

std::string shown(const std::string& file, const std::string& value) {
  return "/" + file + " = " + value;
}

std::string fixed(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

Doctor::Doctor(DoctorOptions options) : options_(std::move(options)) {
  if (options_.usable_cores.empty())
    throw InvariantError("Doctor: the list of usable cores is empty, expected the measuring core");
  last_ = read_ticks(options_.root);
}

std::map<int, CoreTicks> Doctor::passed() {
  const double enough = 0.5 * static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  const std::map<int, CoreTicks> now = read_ticks(options_.root);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<int, CoreTicks> passed;
  for (const auto& [core, ticks] : now) {
    const auto before = last_.find(core);
    if (before == last_.end()) continue;
    const CoreTicks& then = before->second;
    if (ticks.total - then.total < enough) continue;
    passed[core] = {ticks.total - then.total, ticks.busy - then.busy, ticks.irq - then.irq,
                    ticks.steal - then.steal};
  }
  if (!passed.empty()) last_ = now;
  return passed;
}

std::vector<Finding> Doctor::examine(bool measuring) {
  Patient patient(options_, passed(), measuring);
  for (const auto check :
       {check_emulation, check_governor, check_clock_limits, check_boost, check_throttling,
        check_temperature, check_energy, check_shared_core, check_busy_core, check_load,
        check_reserved_core, check_memory, check_kernel, check_rights, check_quota}) {
    check(patient);
  }
  std::stable_sort(patient.findings.begin(), patient.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  return std::move(patient.findings);
}

}  // namespace lathe::device
