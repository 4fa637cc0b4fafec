#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/statistics.h"

namespace lathe::latency {

enum class Precision { Fp32, Fp16, Int8 };
const char* to_string(Precision precision);
/// \throws ConfigError listing the names if there is none called `name`.
Precision precision_from_string(const std::string& name);

/// What the measurement's own checks say of it.
enum class Verdict {
  Clean,          ///< precision reached, nothing disturbed it
  Disturbed,      ///< too many blocks had to be thrown away
  Throttled,      ///< the board slowed itself down
  Unsteady,       ///< the interval did not reach the target within the budget
  InvalidTiming,  ///< emulated or otherwise not a real clock of this machine: never use as latency
};
const char* to_string(Verdict verdict);
Verdict verdict_from_string(const std::string& name);

/// Under what circumstances a latency holds.
struct Conditions {
  std::string engine;          ///< "xnnpack"
  std::string engine_version;  ///< "2022-02"
  std::string isa;             ///< "x86_64 avx512", "armv8.2 dotprod"
  int threads = 1;
  Precision precision = Precision::Fp32;
  std::string governor;            ///< empty: unknown
  double frequency_hz = 0.0;       ///< mean during the measurement; 0: unknown
  double temperature_c = -1.0;     ///< at the end; -1: unknown
  std::string device_fingerprint;  ///< stable identity of the board's hardware and kernel
  std::map<std::string, std::string> extra;
};

/// What one inference draws, at batch 1 and without pause between inferences: the energy of all
/// that the sensor covers, which includes what would be drawn idle.
struct EnergyEstimate {
  double mean_mj = 0.0;
  Interval interval_mj;  ///< of the mean
  double power_w = 0.0;  ///< mean while the network ran
  std::string sensor;    ///< "hwmon0 ina260 power1", "rapl package-0"
};

/// The latency of one network on one device: never a bare number. Times are milliseconds of one
/// inference at batch 1, input already in memory.
struct LatencyEstimate {
  double median_ms = 0.0;
  Interval interval_ms;  ///< of the median
  double p90_ms = 0.0;
  double p99_ms = 0.0;
  int64_t kept = 0;               ///< blocks that count
  int64_t rejected = 0;           ///< blocks thrown away as disturbed
  int processes = 1;              ///< fresh worker processes that contributed
  double wall_s = 0.0;            ///< board time spent
  bool reused = false;            ///< of an earlier measurement: no board time was spent for it now
  int64_t peak_memory_bytes = 0;  ///< of the worker; 0: unknown
  /// Calibrated time of the reference network, in which the latency was measured; 0: unknown.
  double reference_ms = 0.0;
  std::optional<EnergyEstimate> energy;  ///< where the plan asked for it
  Verdict verdict = Verdict::Clean;
  Conditions conditions;

  /// Half of the interval's width, relative to the median, which must not be 0.
  double half_width() const { return 0.5 * (interval_ms.high - interval_ms.low) / median_ms; }
};

/// Stable JSON, read back by latency_estimate_from_json. \throws DataError for malformed text.
std::string to_json(const LatencyEstimate& estimate);
LatencyEstimate latency_estimate_from_json(const std::string& text);

/// When a measurement stops and how careful it is.
struct MeasurementPlan {
  double target_half_width = 0.01;  ///< of the interval, relative to the median
  double level = 0.95;
  double budget_s = 10.0;  ///< board time at most, warm-up included
  int min_blocks = 10;     ///< kept blocks at least
  int max_blocks = 2000;
  int processes = 2;           ///< fresh worker processes at least
  double min_block_s = 0.002;  ///< inferences are grouped until a block lasts this long
  uint64_t seed = 1;           ///< of the interleaving order
  /// 0: burst, the latency of a cool board. Else sustained: the network first runs without pause
  /// until the board is in its thermal steady state, so long at most, beyond the budget; what
  /// throttling then costs is part of the latency.
  double sustain_s = 0.0;
  /// 0: energy is not measured. Else the network runs for so long more, beyond the budget, while
  /// the board's energy sensor is read; a board without one fails the job as Unsupported.
  double energy_s = 0.0;
  bool fresh = false;  ///< never answered from the measurement store: the confirmation of a front
};

}  // namespace lathe::latency
