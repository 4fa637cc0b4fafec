#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/result.h"
#include "device_agent/service/job_worker.h"
#include "latency/measurement/session.h"

namespace lathe::device {

/// What the board has taught about one engine with one number of threads.
struct Calibration {
  double reference_s = 0.0;           ///< of the reference network; 0: not calibrated
  latency::ProcessVariance variance;  ///< between processes
  latency::DriftVariance drift;       ///< of networks against the reference, over minutes
  bool proven = false;                ///< a job has come to its end
  double next_control_s = 0.0;        ///< by the steady clock
};

/// Calibrates the reference network and watches the control networks. Not thread-safe; to be used
/// by the thread that carries out jobs.
class Calibrator {
 public:
  explicit Calibrator(const AgentSettings& settings) : settings_(settings) {}

  /// Returns what is known for the engine and the threads of `spec`; kept until destruction.
  Calibration& of(const JobSpec& spec);

  /// Returns the reference network's time, which is measured unless it is known. A measurement that
  /// was mostly disturbed serves this job alone: the next one calibrates again.
  Result<double> reference_s(const JobSpec& spec, const Cancellation& cancellation);

  /// Between jobs, now and then: two processes each that time a control network beside the
  /// reference.
  /// Where that fails (too little memory, say) the prior remains; it is no failure of the job.
  void measure_control(const JobSpec& spec, const Cancellation& cancellation);

 private:
  /// The median of log(control/reference) in a process, or nothing if it failed or was disturbed.
  static std::optional<double> time_control(JobWorker& worker, double calibrated_s,
                                            double deadline_s, const Cancellation& cancellation);

  const AgentSettings& settings_;
  std::map<std::string, Calibration> calibrations_;
};

}  // namespace lathe::device
