#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/result.h"
#include "device_agent/service/job.h"
#include "device_agent/worker/cancellation.h"
#include "latency/measurement/session.h"
#include "lathe/v1/device_agent.pb.h"

namespace lathe::internal {
class Load;
class WorkerEvent;
}  // namespace lathe::internal

namespace lathe::device {

/// Carries out jobs in worker processes: one at a time, always from the same long-lived thread.
/// Remembers the reference network's calibrated time, how much processes differ and how far
/// networks drift, for each engine and number of threads. Not thread-safe.
class JobDriver {
 public:
  using ProgressCall = std::function<void(const v1::MeasureProgress&)>;

  explicit JobDriver(const AgentSettings& settings) : settings_(settings) {}

  Result<v1::LatencyResult> measure(const JobSpec& spec, const latency::MeasurementPlan& plan,
                                    const ProgressCall& progress, const Cancellation& cancellation);
  Result<v1::ProfileResponse> profile(const JobSpec& spec, double budget_s,
                                      const Cancellation& cancellation);
  Result<v1::RunResponse> run(const JobSpec& spec, const v1::RunRequest& request,
                              const Cancellation& cancellation);

 private:
  // One engine in one configuration on this board.
  struct Calibration {
    double reference_s = 0.0;
    latency::ProcessVariance variance;
    latency::DriftVariance drift;
    bool proven = false;          ///< a job has come to its end
    double next_control_s = 0.0;  ///< by the steady clock
  };
  struct Measuring;

  internal::Load make_load(const JobSpec& spec, double limit_s) const;
  Result<double> calibrated_reference(const JobSpec& spec, const Cancellation& cancellation);
  void measure_control(const JobSpec& spec, Calibration& calibration,
                       const Cancellation& cancellation) const;
  static std::optional<double> time_control(WorkerProcess& worker,
                                            const internal::WorkerEvent& loaded, double deadline_s,
                                            const Cancellation& cancellation);
  Result<bool> start_process(Measuring& measuring);
  Result<bool> run_blocks(Measuring& measuring, const std::vector<latency::BlockPlan>& blocks);
  Result<latency::EnergyEstimate> measure_energy(Measuring& measuring) const;
  v1::LatencyResult make_result(const Measuring& measuring) const;
  Result<std::unique_ptr<WorkerProcess>> start_worker(const JobSpec& spec,
                                                      const internal::Load& load, double deadline_s,
                                                      const Cancellation& cancellation,
                                                      internal::WorkerEvent& loaded) const;

  const AgentSettings& settings_;
  std::map<std::string, Calibration> calibrations_;
};

}  // namespace lathe::device
