#include "device_agent/board/energy_meter.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "device_agent/board/power_chip.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace fs = std::filesystem;

namespace {

constexpr int kMaxChannels = 16;  // of a hwmon chip
constexpr char kHwmon[] = "sys/class/hwmon";
constexpr char kMailbox[] = "dev/vcio";
constexpr char kPowercap[] = "sys/class/powercap";

/// The folders in `folder`, in order of name.
std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

/// A source with what it shows now; nothing if a file of it is absent or closed.
struct Shown {
  EnergySource source;
  double value = 0.0;
};

std::optional<double> rails_w(const EnergySource& source) {
  const std::optional<std::string> answer = ask_firmware(source.file, "pmic_read_adc");
  return answer ? power_of_rails_w(*answer) : std::nullopt;
}

std::optional<double> shown_by(const EnergySource& source) {
  if (source.kind == EnergySource::Kind::Rails) {
    const std::optional<double> watts = rails_w(source);
    return watts ? std::optional<double>(1e6 * *watts) : std::nullopt;
  }
  const std::optional<int64_t> value = read_number(source.file);
  if (!value) return std::nullopt;
  if (source.kind != EnergySource::Kind::Product) return static_cast<double>(*value);
  const std::optional<int64_t> voltage = read_number(source.voltage);
  if (!voltage) return std::nullopt;
  return static_cast<double>(*value) * static_cast<double>(*voltage);  // mA mV = uW
}

/// "hwmon0 ina260 ": two chips of one kind have different numbers.
std::string name_of(const fs::path& chip) {
  return chip.filename().string() + " " + read_text(chip / "name").value_or("unnamed") + " ";
}

/// The power sensors of a chip: those that it multiplies itself or, if there is none, its currents
/// with the voltages of the same number.
std::vector<EnergySource> power_sensors(const fs::path& chip) {
  const std::string name = name_of(chip);
  std::vector<EnergySource> powers, products;
  std::error_code error;
  for (int channel = 1; channel <= kMaxChannels; ++channel) {
    const std::string number = std::to_string(channel);
    for (const char* kind : {"_input", "_average"}) {
      const fs::path file = chip / ("power" + number + kind);
      if (!fs::exists(file, error)) continue;
      powers.push_back({name + "power" + number, EnergySource::Kind::Power, file, {}, 0.0});
      break;
    }
    const fs::path current = chip / ("curr" + number + "_input");
    const fs::path voltage = chip / ("in" + number + "_input");
    if (fs::exists(current, error) && fs::exists(voltage, error)) {
      products.push_back(
          {name + "curr" + number, EnergySource::Kind::Product, current, voltage, 0.0});
    }
  }
  return powers.empty() ? products : powers;
}

std::vector<EnergySource> energy_counters(const fs::path& chip) {
  const std::string name = name_of(chip);
  std::vector<EnergySource> counters;
  std::error_code error;
  for (int channel = 1; channel <= kMaxChannels; ++channel) {
    const fs::path file = chip / ("energy" + std::to_string(channel) + "_input");
    if (!fs::exists(file, error)) continue;
    counters.push_back(
        {name + "energy" + std::to_string(channel), EnergySource::Kind::Counter, file, {}, 0.0});
  }
  return counters;
}

/// The power chip of a Raspberry Pi 5, which earlier ones lack.
std::optional<EnergySource> power_chip(const fs::path& root) {
  std::error_code error;
  const std::string board = read_text(root / "proc/device-tree/compatible").value_or("");
  if (board.find("bcm2712") == std::string::npos || !fs::exists(root / kMailbox, error)) {
    return std::nullopt;
  }
  return EnergySource{"pmic rails", EnergySource::Kind::Rails, root / kMailbox, {}, 0.0};
}

/// The platform's or a package's counter; those of its parts (cores, memory) are in it.
std::optional<EnergySource> rapl_counter(const fs::path& zone) {
  const std::string name = read_text(zone / "name").value_or("");
  if (name.rfind("package", 0) != 0 && name != "psys") return std::nullopt;
  std::error_code error;
  if (!fs::exists(zone / "energy_uj", error)) return std::nullopt;
  const int64_t range_uj = read_number(zone / "max_energy_range_uj").value_or(0);
  return EnergySource{"rapl " + name,
                      EnergySource::Kind::Counter,
                      zone / "energy_uj",
                      {},
                      1e-6 * static_cast<double>(range_uj)};
}

/// What the board has, readable or not.
std::vector<EnergySource> all_sources(const fs::path& root) {
  std::vector<EnergySource> sources, counters;
  for (const fs::path& chip : folders_in(root / kHwmon)) {
    for (EnergySource& source : power_sensors(chip)) sources.push_back(std::move(source));
    for (EnergySource& source : energy_counters(chip)) counters.push_back(std::move(source));
  }
  std::optional<EnergySource> chip = power_chip(root);
  if (chip) sources.push_back(std::move(*chip));
  for (const fs::path& zone : folders_in(root / kPowercap)) {
    std::optional<EnergySource> counter = rapl_counter(zone);
    if (counter) counters.push_back(std::move(*counter));
  }
  std::stable_partition(counters.begin(), counters.end(), [](const EnergySource& source) {
    return source.name.rfind("rapl package", 0) != 0;
  });
  sources.insert(sources.end(), counters.begin(), counters.end());
  return sources;
}

}  // namespace

std::vector<EnergySource> energy_sources(const fs::path& root) {
  std::vector<Shown> shown;
  for (EnergySource& source : all_sources(root)) {
    const std::optional<double> value = shown_by(source);
    const bool counter = source.kind == EnergySource::Kind::Counter;
    // A sensor of power that shows nothing is not wired, or a battery that is not in use.
    if (value && (counter || *value > 0.0)) shown.push_back({std::move(source), *value});
  }
  const auto counters = std::find_if(shown.begin(), shown.end(), [](const Shown& each) {
    return each.source.kind == EnergySource::Kind::Counter;
  });
  std::stable_sort(shown.begin(), counters,
                   [](const Shown& a, const Shown& b) { return a.value > b.value; });
  std::vector<EnergySource> sources;
  for (Shown& each : shown) sources.push_back(std::move(each.source));
  return sources;
}

std::optional<EnergySource> choose_energy_source(const fs::path& root, const std::string& name) {
  std::vector<EnergySource> sources = energy_sources(root);
  for (EnergySource& source : sources) {
    if (name.empty() || source.name == name) return std::move(source);
  }
  if (name.empty()) return std::nullopt;
  throw DeviceError("energy sensor " + name + ": not on this board, expected " +
                    (sources.empty() ? "none: it has no sensor that can be read"
                                     : "one of: " + join(sources, ", ", [](const auto& source) {
                                         return source.name;
                                       })));
}

std::vector<fs::path> closed_energy_files(const fs::path& root) {
  std::vector<fs::path> closed;
  for (const EnergySource& source : all_sources(root)) {
    if (!shown_by(source)) closed.push_back(source.file);
  }
  return closed;
}

EnergyMeter::EnergyMeter(const EnergySource& source, Clock& clock)
    : source_(source), clock_(clock) {
  if (source.kind == EnergySource::Kind::Rails) return;
  file_ = ::open(source.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (source.kind == EnergySource::Kind::Product) {
    voltage_ = ::open(source.voltage.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (file_ >= 0 && (voltage_ >= 0 || source.kind != EnergySource::Kind::Product)) return;
  const int reason = errno;
  if (file_ >= 0) ::close(file_);
  if (voltage_ >= 0) ::close(voltage_);
  throw DeviceError("energy sensor " + source.name + ": " + source.file.string() +
                    " cannot be opened: " + std::strerror(reason));
}

EnergyMeter::~EnergyMeter() {
  if (file_ >= 0) ::close(file_);
  if (voltage_ >= 0) ::close(voltage_);
}

double EnergyMeter::read() const {
  const auto fail = [this] {
    throw DeviceError("energy sensor " + source_.name + ": " + source_.file.string() +
                      " cannot be read any more");
  };
  if (source_.kind == EnergySource::Kind::Rails) {
    const std::optional<double> watts = rails_w(source_);
    if (!watts) fail();
    return *watts;
  }
  const auto number = [&](int descriptor) {
    char text[64];
    const ssize_t count = ::pread(descriptor, text, sizeof text - 1, 0);
    if (count <= 0) fail();
    text[count] = '\0';
    return static_cast<double>(std::strtoll(text, nullptr, 10));
  };
  const double value = 1e-6 * number(file_);
  return source_.kind == EnergySource::Kind::Product ? value * number(voltage_) : value;
}

void EnergyMeter::start() {
  last_ = read();
  last_s_ = clock_.now_s();
  joules_ = 0.0;
}

void EnergyMeter::sample() {
  const double value = read();
  const double now_s = clock_.now_s();
  if (source_.kind != EnergySource::Kind::Counter) {
    joules_ += 0.5 * (last_ + value) * (now_s - last_s_);
  } else {
    joules_ += value - last_ + (value < last_ ? source_.range_j : 0.0);
  }
  last_ = value;
  last_s_ = now_s;
}

}  // namespace lathe::device
