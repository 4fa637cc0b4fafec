#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lathe::report {

// The values of a run summary that were measured, each with what is known of its uncertainty. Plain
// data: times in milliseconds or seconds, memory and sizes in bytes, accuracy as a fraction 0..1.

struct Accuracy {
  double top1 = 0.0;            ///< fraction 0..1
  double standard_error = 0.0;  ///< binomial
  int64_t images = 0;
};

/// What one inference draws, the idle draw of all that the sensor covers included.
struct Energy {
  double mean_mj = 0.0;
  double low_mj = 0.0;  ///< ends of the mean's confidence interval, at the latency's level
  double high_mj = 0.0;
  double power_w = 0.0;  ///< while the network ran
  std::string sensor;
};

/// Latency of one inference at batch 1.
struct Latency {
  double median_ms = 0.0;
  double low_ms = 0.0;   ///< lower end of the median's confidence interval
  double high_ms = 0.0;  ///< upper end: what constraints are tested on
  double level = 0.95;   ///< of the interval
  double p90_ms = 0.0;
  double p99_ms = 0.0;
  int64_t kept = 0;      ///< timed blocks that count
  int64_t rejected = 0;  ///< timed blocks thrown away as disturbed
  int64_t processes = 1;
  double wall_s = 0.0;            ///< board time spent
  std::string verdict = "clean";  ///< name of a latency::Verdict
  std::optional<Energy> energy;   ///< where it was asked for
};

/// Under what circumstances a latency holds.
struct Conditions {
  std::string engine;
  std::string engine_version;
  std::string isa;
  int64_t threads = 1;
  std::string precision = "fp32";
  std::string governor;                 ///< empty: unknown
  std::optional<double> frequency_hz;   ///< mean during the measurement
  std::optional<double> temperature_c;  ///< at the end
  std::string device_fingerprint;
  std::map<std::string, std::string> extra;
};

/// The latency of a searched candidate on one device.
struct DeviceLatency {
  std::string device;
  Latency latency;
};

/// Why a candidate lacks a value.
struct CandidateFailure {
  std::string metric;  ///< "accuracy", "latency@pi4"
  std::string kind;    ///< name of a lathe::FailureKind
  std::string message;
};

/// One evaluated architecture, in order of proposal.
struct CandidateRecord {
  int64_t index = 0;
  std::string architecture;  ///< Architecture::to_string()
  std::string description;   ///< SearchSpace::describe()
  std::optional<Accuracy> accuracy;
  std::vector<DeviceLatency> latencies;  ///< devices on which it was measured
  int64_t macs = 0;
  int64_t params = 0;
  int64_t peak_memory_bytes = 0;
  int64_t model_size_bytes = 0;
  bool feasible = true;
  /// True: stopped early, so its accuracy is of a part of the images and its latencies are coarse.
  std::optional<bool> screened;
  std::vector<CandidateFailure> failures;  ///< empty when every objective has a value
};

}  // namespace lathe::report
