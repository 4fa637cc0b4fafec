#include "device_agent/service/calibrator.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/statistics.h"

namespace lathe::device {
namespace {

constexpr size_t kCalibrationProcesses = 5;
constexpr size_t kCalibrationBlocks = 30;
constexpr double kCalibrationBlock_s = 0.002;
constexpr double kCalibrationLimit_s = 30.0;
// The control networks: so many blocks each time, the first times with every job, then at most so
// often and for at most so much of the time.
constexpr size_t kControlBlocks = 12;
constexpr double kControlBlock_s = 0.002;
constexpr double kControlWarmUp_s = 0.1;
constexpr int64_t kFirstControls = 4;
constexpr double kControlEvery_s = 5.0;
constexpr double kControlShare = 0.03;
constexpr double kControlLimit_s = 5.0;    // of one measurement: a job waits for it
constexpr double kControlRetry_s = 600.0;  // after a failure

double now_s() { return steady_clock().now_s(); }

bool is_undisturbed(const latency::BlockConditions& conditions) {
  return latency::block_fault(conditions, {}) == latency::BlockFault::None;
}

/// Of the agent's own networks, which need no model and no limit of the job's.
JobSpec without_model(JobSpec spec) {
  spec.model = nullptr;
  spec.memory_limit_bytes = 0;
  return spec;
}

}  // namespace

Calibration& Calibrator::of(const JobSpec& spec) {
  return calibrations_[spec.engine + "/" + std::to_string(spec.threads)];
}

Result<double> Calibrator::reference_s(const JobSpec& spec, const Cancellation& cancellation) {
  Calibration& calibration = of(spec);
  if (calibration.reference_s > 0.0) return calibration.reference_s;
  const JobSpec reference = without_model(spec);
  internal::Load load = load_of(settings_, reference, kCalibrationLimit_s);
  load.set_with_reference(true);
  std::vector<std::vector<double>> all;
  std::vector<std::vector<double>> undisturbed;
  const double deadline_s = now_s() + kCalibrationLimit_s;
  for (size_t process = 0; process < kCalibrationProcesses; ++process) {
    Result<JobWorker> worker =
        JobWorker::start(settings_, reference, load, deadline_s, cancellation);
    if (!worker) return worker.failure();
    latency::BlockPlan plan;
    plan.reference_inferences =
        latency::inferences_per_block(worker->loaded().reference_s(), kCalibrationBlock_s);
    const auto blocks = worker->run_blocks(
        std::vector<latency::BlockPlan>(kCalibrationBlocks, plan), deadline_s, cancellation);
    if (!blocks) return blocks.failure();
    all.emplace_back();
    undisturbed.emplace_back();
    for (const latency::Block& block : *blocks) {
      all.back().push_back(block.reference_s);
      if (is_undisturbed(block.conditions)) undisturbed.back().push_back(block.reference_s);
    }
  }
  undisturbed = latency::without_slow(undisturbed, latency::BlockLimits().reference_slowdown);
  size_t count = 0;
  for (const std::vector<double>& process : undisturbed) count += process.size();
  if (2 * count < kCalibrationProcesses * kCalibrationBlocks) {
    return latency::calibrated_reference_s(all);
  }
  calibration.reference_s = latency::calibrated_reference_s(undisturbed);
  return calibration.reference_s;
}

void Calibrator::measure_control(const JobSpec& spec, const Cancellation& cancellation) {
  Calibration& calibration = of(spec);
  const double start_s = now_s();
  if (settings_.invalid_timing || !calibration.proven || start_s < calibration.next_control_s) {
    return;
  }
  const JobSpec control = without_model(spec);
  internal::Load load = load_of(settings_, control, kControlLimit_s);
  load.set_with_reference(true);
  load.set_warm_up_limit_s(kControlWarmUp_s);
  const double deadline_s = start_s + kControlLimit_s;
  bool failed = false;
  for (size_t i = 0; i < latency::DriftVariance::kControls && !failed; ++i) {
    load.set_control(static_cast<uint32_t>(i + 1));
    // Both are held to the end: see JobDriver::start_process.
    std::vector<JobWorker> workers;
    std::vector<double> log_ratios;
    for (int process = 0; process < 2; ++process) {
      Result<JobWorker> worker =
          JobWorker::start(settings_, control, load, deadline_s, cancellation);
      if (!worker) break;
      workers.push_back(std::move(worker).value());
      const auto log_ratio =
          time_control(workers.back(), calibration.reference_s, deadline_s, cancellation);
      if (log_ratio) log_ratios.push_back(*log_ratio);
    }
    if (log_ratios.size() == 2) calibration.drift.learn(i, log_ratios[0], log_ratios[1]);
    failed = workers.size() < 2;
  }
  const double end_s = now_s();
  double pause_s = std::max(kControlEvery_s, (end_s - start_s) / kControlShare);
  if (calibration.drift.count() < kFirstControls) pause_s = 0.0;
  if (failed) pause_s = kControlRetry_s;
  calibration.next_control_s = end_s + pause_s;
}

std::optional<double> Calibrator::time_control(JobWorker& worker, double calibrated_s,
                                               double deadline_s,
                                               const Cancellation& cancellation) {
  const double control_s = worker.loaded().candidate_s();
  const double reference_s = worker.loaded().reference_s();
  latency::BlockPlan plan;
  plan.candidate_inferences = latency::inferences_per_block(control_s, kControlBlock_s);
  plan.reference_inferences = latency::inferences_per_block(reference_s, kControlBlock_s);
  plan.candidate_primers = latency::primer_inferences(control_s);
  plan.reference_primers = latency::primer_inferences(reference_s);
  std::vector<latency::BlockPlan> plans(kControlBlocks, plan);
  for (size_t i = 0; i < plans.size(); ++i) plans[i].candidate_first = i % 4 == 0 || i % 4 == 3;
  const auto blocks = worker.run_blocks(plans, deadline_s, cancellation);
  if (!blocks) return std::nullopt;
  std::vector<double> log_ratios;
  for (const latency::Block& block : *blocks) {
    latency::BlockConditions conditions = block.conditions;
    if (calibrated_s > 0.0) conditions.reference_slowdown = block.reference_s / calibrated_s - 1.0;
    if (is_undisturbed(conditions))
      log_ratios.push_back(std::log(block.candidate_s / block.reference_s));
  }
  if (2 * log_ratios.size() < kControlBlocks) return std::nullopt;
  return median(log_ratios);
}

}  // namespace lathe::device
