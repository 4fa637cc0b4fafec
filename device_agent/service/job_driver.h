#pragma once

#include <functional>
#include <vector>

#include "core/result.h"
#include "device_agent/service/calibrator.h"
#include "device_agent/service/job.h"
#include "device_agent/worker/cancellation.h"
#include "latency/measurement/session.h"
#include "lathe/v1/device_agent.pb.h"

namespace lathe::device {

/// Carries out jobs in worker processes: one at a time, always from the same long-lived thread.
/// Remembers what its calibrator has learnt. Not thread-safe.
class JobDriver {
 public:
  using ProgressCall = std::function<void(const v1::MeasureProgress&)>;

  explicit JobDriver(const AgentSettings& settings) : settings_(settings), calibrator_(settings) {}

  Result<v1::LatencyResult> measure(const JobSpec& spec, const latency::MeasurementPlan& plan,
                                    const ProgressCall& progress, const Cancellation& cancellation);
  Result<v1::ProfileResponse> profile(const JobSpec& spec, double budget_s,
                                      const Cancellation& cancellation);
  Result<v1::RunResponse> run(const JobSpec& spec, const v1::RunRequest& request,
                              const Cancellation& cancellation);

 private:
  struct Measuring;

  Result<bool> start_process(Measuring& measuring);
  static Result<bool> run_blocks(Measuring& measuring,
                                 const std::vector<latency::BlockPlan>& plans);
  Result<latency::EnergyEstimate> measure_energy(Measuring& measuring) const;
  v1::LatencyResult make_result(const Measuring& measuring) const;

  const AgentSettings& settings_;
  Calibrator calibrator_;
};

}  // namespace lathe::device
