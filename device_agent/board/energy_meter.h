#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"

namespace lathe::device {

/// Where a board tells what it draws: a file of the kernel, or the firmware behind one.
struct EnergySource {
  enum class Kind {
    Counter,  ///< uJ since some moment
    Power,    ///< uW now
    Product,  ///< mA now, and in `voltage` mV
    Rails,    ///< a Raspberry Pi's power chip, asked through its firmware (power_chip.h)
  };
  std::string name;  ///< "hwmon0 ina260 power1", "rapl package-0"
  Kind kind = Kind::Power;
  std::filesystem::path file;
  std::filesystem::path voltage;
  double range_j = 0.0;  ///< where a counter starts again at 0; 0: it does not
};

/// Returns the sources below `root` that this process may read, the widest first: hwmon's power
/// sensors before its counters before RAPL, of the power sensors the one that shows most, because
/// it feeds the others.
std::vector<EnergySource> energy_sources(const std::filesystem::path& root);

/// Returns the source called `name`, or the first one if it is empty; nothing if there is none.
/// \throws DeviceError listing the names if none is called so.
std::optional<EnergySource> choose_energy_source(const std::filesystem::path& root,
                                                 const std::string& name);

/// Returns the files below `root` that count energy but are closed to this process.
std::vector<std::filesystem::path> closed_energy_files(const std::filesystem::path& root);

/// Adds up what a source shows. Files are opened once and read again with pread. Not thread-safe.
class EnergyMeter {
 public:
  /// The firmware is asked anew each time. \throws DeviceError if the source cannot be opened.
  EnergyMeter(const EnergySource& source, Clock& clock);
  ~EnergyMeter();
  EnergyMeter(const EnergyMeter&) = delete;
  EnergyMeter& operator=(const EnergyMeter&) = delete;

  /// Begins at 0 J. \throws DeviceError, as sample(), if the source cannot be read any more.
  void start();
  /// Takes in what was drawn since the last call. Between two samples power counts as linear, so
  /// they should come at least as often as the source shows something new.
  void sample();
  /// Until the last sample.
  double joules() const { return joules_; }

 private:
  double read() const;  // J, or W

  EnergySource source_;
  Clock& clock_;
  int file_ = -1;
  int voltage_ = -1;
  double joules_ = 0.0;
  double last_ = 0.0;
  double last_s_ = 0.0;
};

}  // namespace lathe::device
