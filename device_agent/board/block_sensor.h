#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "latency/measurement/block.h"

namespace lathe::device {

/// The counters of one moment.
struct SensorReading {
  double wall_s = 0.0;  ///< CLOCK_MONOTONIC
  double thread_cpu_s = 0.0;
  int64_t involuntary_switches = 0;
  double steal_s = 0.0;
  double irq_s = 0.0;
  double frequency_hz = 0.0;  ///< lowest of the cores; 0: unknown
  uint32_t throttle_bits = 0;
  double temperature_c = -1.0;
};

/// Reads what could disturb a block on the measuring cores. Files are opened once and read again
/// with pread; those that a board lacks are unknown. To be used on the measuring thread. Not
/// thread-safe.
class BlockSensor {
 public:
  /// `single_thread`: the calling thread does all the work, so its CPU time can be compared with
  /// the wall.
  BlockSensor(const std::filesystem::path& root, std::vector<int> cores, bool single_thread);
  ~BlockSensor();
  BlockSensor(const BlockSensor&) = delete;
  BlockSensor& operator=(const BlockSensor&) = delete;

  SensorReading read();

  /// Returns what happened between two readings.
  latency::BlockConditions between(const SensorReading& before, const SensorReading& after) const;

 private:
  void read_stat(SensorReading& reading);

  std::vector<int> cores_;
  bool single_thread_;
  double tick_s_;
  double planned_frequency_hz_ = 0.0;
  int stat_ = -1;
  int throttled_ = -1;
  std::vector<int> frequencies_;
  std::vector<int> zones_;
  std::string buffer_;
};

}  // namespace lathe::device
