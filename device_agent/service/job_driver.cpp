#include "device_agent/service/job_driver.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/clock.h"
#include "core/statistics.h"
#include "device_agent/service/wire.h"
#include "latency/measurement/energy.h"
#include "lathe/internal/worker.pb.h"

namespace lathe::device {

using internal::WorkerCommand;
using internal::WorkerEvent;

namespace {

// A message costs the board and the controller, which may have fifty boards; nobody reads faster.
constexpr double kTellEvery_s = 0.25;

constexpr int kCalibrationProcesses = 5;
constexpr int kCalibrationBlocks = 30;
constexpr double kCalibrationLimit_s = 30.0;
// The control network: so many blocks each time, the first times with every job, then at most so
// often and for at most so much of the time.
constexpr size_t kControlBlocks = 12;
constexpr double kControlBlock_s = 0.002;
constexpr double kControlWarmUp_s = 0.1;
constexpr int64_t kFirstControls = 4;
constexpr double kControlEvery_s = 5.0;
constexpr double kControlShare = 0.03;
constexpr double kControlLimit_s = 5.0;    // of one measurement: a job waits for it
constexpr double kControlRetry_s = 600.0;  // after a failure
// A call may take this many times what its blocks should, and this much more, before the worker
// counts as hung.
constexpr double kSlowness = 20.0;
constexpr double kSlack_s = 2.0;

double now_s() { return steady_clock().now_s(); }

internal::RunBlocks to_wire(const std::vector<latency::BlockPlan>& plans) {
  internal::RunBlocks request;
  for (const latency::BlockPlan& plan : plans) {
    internal::BlockPlan& added = *request.add_blocks();
    added.set_candidate_first(plan.candidate_first);
    added.set_candidate_inferences(plan.candidate_inferences);
    added.set_reference_inferences(plan.reference_inferences);
    added.set_candidate_primers(plan.candidate_primers);
    added.set_reference_primers(plan.reference_primers);
  }
  return request;
}

latency::Block from_wire(const internal::Block& block) {
  latency::Block result;
  result.candidate_s = block.candidate_s();
  result.reference_s = block.reference_s();
  result.conditions.duration_s = block.duration_s();
  result.conditions.involuntary_switches = block.involuntary_switches();
  result.conditions.off_cpu_s = block.off_cpu_s();
  result.conditions.steal_s = block.steal_s();
  result.conditions.irq_s = block.irq_s();
  result.conditions.frequency_hz = block.frequency_hz();
  result.conditions.planned_frequency_hz = block.planned_frequency_hz();
  result.conditions.throttle_bits = block.throttle_bits();
  result.conditions.temperature_c = block.temperature_c();
  return result;
}

}  // namespace

std::vector<int> cores_for(const AgentSettings& settings, int threads) {
  const auto count =
      std::min<size_t>(static_cast<size_t>(std::max(threads, 1)), settings.usable_cores.size());
  return {settings.usable_cores.end() - static_cast<ptrdiff_t>(count), settings.usable_cores.end()};
}

struct JobDriver::Measuring {
  const JobSpec& spec;
  const latency::MeasurementPlan& plan;
  const Cancellation& cancellation;
  latency::MeasurementSession& session;
  double start_s = 0.0;
  double deadline_s = 0.0;
  double reference_s = 0.0;
  std::unique_ptr<WorkerProcess> worker = nullptr;
  double candidate_s = 0.0;  // of one inference in the current process
  int64_t peak_memory_bytes = 0;
  double frequency_sum_hz = 0.0;
  int64_t frequency_count = 0;
  double temperature_c = -1.0;
  bool real_time = false;
  std::optional<latency::EnergyEstimate> energy = std::nullopt;
  double elapsed_s() const { return now_s() - start_s; }
};

internal::Load JobDriver::make_load(const JobSpec& spec, double limit_s) const {
  internal::Load load;
  load.set_engine(spec.engine);
  load.set_threads(static_cast<uint32_t>(spec.threads));
  load.set_precision(static_cast<uint32_t>(spec.precision));
  load.set_memory_limit_bytes(spec.memory_limit_bytes > 0 ? spec.memory_limit_bytes
                                                          : settings_.memory_limit_bytes);
  // Beyond what the deadline allows: it only ends a worker that nobody waits for any more.
  load.set_cpu_limit_s((limit_s + 2.0) * spec.threads);
  for (const int core : cores_for(settings_, spec.threads))
    load.add_cores(static_cast<uint32_t>(core));
  load.set_board_root(settings_.board_root.string());
  load.set_warm_up_limit_s(1.0);
  return load;
}

Result<std::unique_ptr<WorkerProcess>> JobDriver::start_worker(const JobSpec& spec,
                                                               const internal::Load& load,
                                                               double deadline_s,
                                                               const Cancellation& cancellation,
                                                               WorkerEvent& loaded) const {
  try {
    auto worker = std::make_unique<WorkerProcess>(settings_.worker,
                                                  spec.model ? spec.model->descriptor() : -1);
    WorkerCommand command;
    *command.mutable_load() = load;
    Result<WorkerEvent> event = worker->call(command, deadline_s, cancellation);
    if (!event) return event.failure();
    if (!event->has_loaded())
      return Failure{FailureKind::Crashed, "the worker process answered out of turn"};
    loaded = std::move(event).value();
    return worker;
  } catch (const DeviceError& error) {
    return Failure{FailureKind::Internal, error.what()};
  }
}

/// A calibration that was mostly disturbed serves this job alone: the next one calibrates again.
Result<double> JobDriver::calibrated_reference(const JobSpec& spec,
                                               const Cancellation& cancellation) {
  Calibration& calibration = calibrations_[spec.engine + "/" + std::to_string(spec.threads)];
  if (calibration.reference_s > 0.0) return calibration.reference_s;
  JobSpec reference = spec;
  reference.model = nullptr;
  reference.memory_limit_bytes = 0;
  internal::Load load = make_load(reference, kCalibrationLimit_s);
  load.set_with_reference(true);
  std::vector<std::vector<double>> seconds;
  bool trustworthy = true;
  const double deadline_s = now_s() + kCalibrationLimit_s;
  for (int process = 0; process < kCalibrationProcesses; ++process) {
    WorkerEvent loaded;
    auto worker = start_worker(reference, load, deadline_s, cancellation, loaded);
    if (!worker) return worker.failure();
    latency::BlockPlan plan;
    plan.reference_inferences = latency::inferences_per_block(loaded.loaded().reference_s(), 0.002);
    const std::vector<latency::BlockPlan> plans(kCalibrationBlocks, plan);
    WorkerCommand command;
    *command.mutable_run_blocks() = to_wire(plans);
    Result<WorkerEvent> event = (*worker)->call(command, deadline_s, cancellation);
    if (!event) return event.failure();
    std::vector<double> undisturbed;
    std::vector<double> all;
    for (const internal::Block& sent : event->blocks_done().blocks()) {
      const latency::Block block = from_wire(sent);
      all.push_back(block.reference_s);
      const auto fault = latency::block_fault(block.conditions, {});
      if (fault == latency::BlockFault::None) undisturbed.push_back(block.reference_s);
    }
    const bool trusted = 2 * undisturbed.size() >= kCalibrationBlocks;
    trustworthy = trustworthy && trusted;
    seconds.push_back(trusted ? undisturbed : all);
  }
  const double reference_s = latency::calibrated_reference_s(seconds);
  if (trustworthy) calibration.reference_s = reference_s;
  return reference_s;
}

/// Between jobs, now and then: two processes that time the control network beside the reference.
/// Where that fails (too little memory, say) the prior remains; it is no failure of the job.
void JobDriver::measure_control(const JobSpec& spec, Calibration& calibration,
                                const Cancellation& cancellation) const {
  const double start_s = now_s();
  if (settings_.invalid_timing || !calibration.proven || start_s < calibration.next_control_s) {
    return;
  }
  JobSpec control = spec;
  control.model = nullptr;
  control.memory_limit_bytes = 0;
  internal::Load load = make_load(control, kControlLimit_s);
  load.set_with_control(true);
  load.set_with_reference(true);
  load.set_warm_up_limit_s(kControlWarmUp_s);
  const double deadline_s = start_s + kControlLimit_s;
  // Both are held to the end: see start_process.
  std::vector<std::unique_ptr<WorkerProcess>> workers;
  std::vector<double> log_ratios;
  for (int process = 0; process < 2; ++process) {
    WorkerEvent loaded;
    auto worker = start_worker(control, load, deadline_s, cancellation, loaded);
    if (!worker) break;
    const auto log_ratio = time_control(**worker, loaded, deadline_s, cancellation);
    if (log_ratio) log_ratios.push_back(*log_ratio);
    workers.push_back(std::move(worker).value());
  }
  if (log_ratios.size() == 2) calibration.drift.learn(log_ratios[0], log_ratios[1]);
  const double end_s = now_s();
  double pause_s = std::max(kControlEvery_s, (end_s - start_s) / kControlShare);
  if (calibration.drift.count() < kFirstControls) pause_s = 0.0;
  if (workers.size() < 2) pause_s = kControlRetry_s;
  calibration.next_control_s = end_s + pause_s;
}

/// The median of log(control/reference) in a process, or nothing if it failed or was disturbed.
std::optional<double> JobDriver::time_control(WorkerProcess& worker,
                                              const internal::WorkerEvent& loaded,
                                              double deadline_s, const Cancellation& cancellation) {
  latency::BlockPlan plan;
  plan.candidate_inferences =
      latency::inferences_per_block(loaded.loaded().candidate_s(), kControlBlock_s);
  plan.reference_inferences =
      latency::inferences_per_block(loaded.loaded().reference_s(), kControlBlock_s);
  plan.candidate_primers = latency::primer_inferences(loaded.loaded().candidate_s());
  plan.reference_primers = latency::primer_inferences(loaded.loaded().reference_s());
  std::vector<latency::BlockPlan> plans(kControlBlocks, plan);
  for (size_t i = 0; i < plans.size(); ++i) plans[i].candidate_first = i % 4 == 0 || i % 4 == 3;
  WorkerCommand command;
  *command.mutable_run_blocks() = to_wire(plans);
  const Result<WorkerEvent> event = worker.call(command, deadline_s, cancellation);
  if (!event) return std::nullopt;
  std::vector<double> log_ratios;
  for (const internal::Block& sent : event->blocks_done().blocks()) {
    const latency::Block block = from_wire(sent);
    if (latency::block_fault(block.conditions, {}) != latency::BlockFault::None) continue;
    log_ratios.push_back(std::log(block.candidate_s / block.reference_s));
  }
  if (2 * log_ratios.size() < kControlBlocks) return std::nullopt;
  return median(log_ratios);
}

Result<bool> JobDriver::start_process(Measuring& measuring) {
  // Held until the next one is loaded: the kernel would give it the very pages of the one that just
  // ended, and the two would agree more than processes do.
  const std::unique_ptr<WorkerProcess> previous = std::move(measuring.worker);
  internal::Load load = make_load(measuring.spec, std::max(1.0, measuring.deadline_s - now_s()));
  load.set_with_candidate(true);
  load.set_with_reference(true);
  load.set_warm_up_limit_s(
      std::min(1.0, measuring.plan.budget_s / (4.0 * measuring.plan.processes)));
  WorkerEvent loaded;
  auto worker =
      start_worker(measuring.spec, load, measuring.deadline_s, measuring.cancellation, loaded);
  if (!worker) return worker.failure();
  measuring.worker = std::move(worker).value();
  measuring.peak_memory_bytes = std::max(measuring.peak_memory_bytes, loaded.peak_memory_bytes());
  measuring.candidate_s = loaded.loaded().candidate_s();
  measuring.real_time = loaded.loaded().real_time();
  if (!(measuring.candidate_s > 0.0) || !(loaded.loaded().reference_s() > 0.0)) {
    return Failure{FailureKind::Crashed, "the worker process reported no time"};
  }
  measuring.session.set_weight_bytes(loaded.loaded().weight_bytes());
  measuring.session.begin_process(measuring.candidate_s, loaded.loaded().reference_s(),
                                  measuring.elapsed_s());
  return true;
}

Result<bool> JobDriver::run_blocks(Measuring& measuring,
                                   const std::vector<latency::BlockPlan>& blocks) {
  double expected_s = 0.0;
  for (const latency::BlockPlan& block : blocks) {
    expected_s += measuring.candidate_s * (block.candidate_inferences + block.candidate_primers) +
                  measuring.reference_s * (block.reference_inferences + block.reference_primers);
  }
  WorkerCommand command;
  *command.mutable_run_blocks() = to_wire(blocks);
  const double call_deadline_s =
      std::min(measuring.deadline_s, now_s() + kSlowness * expected_s + kSlack_s);
  Result<WorkerEvent> event =
      measuring.worker->call(command, call_deadline_s, measuring.cancellation);
  if (!event) return event.failure();
  if (event->blocks_done().blocks_size() != static_cast<int>(blocks.size())) {
    return Failure{FailureKind::Crashed, "the worker process answered out of turn"};
  }
  measuring.peak_memory_bytes = std::max(measuring.peak_memory_bytes, event->peak_memory_bytes());
  for (const internal::Block& sent : event->blocks_done().blocks()) {
    const latency::Block block = from_wire(sent);
    if (!(block.candidate_s > 0.0 && block.reference_s > 0.0 &&
          std::isfinite(block.candidate_s + block.reference_s))) {
      return Failure{FailureKind::Crashed, "the worker process reported no time"};
    }
    measuring.session.feed(block, measuring.elapsed_s());
    if (block.conditions.frequency_hz > 0.0) {
      measuring.frequency_sum_hz += block.conditions.frequency_hz;
      ++measuring.frequency_count;
    }
    measuring.temperature_c = block.conditions.temperature_c;
  }
  return true;
}

Result<v1::LatencyResult> JobDriver::measure(const JobSpec& spec,
                                             const latency::MeasurementPlan& plan,
                                             const ProgressCall& progress,
                                             const Cancellation& cancellation) {
  if (plan.energy_s > 0.0 && !settings_.energy) {
    return Failure{FailureKind::Unsupported,
                   "energy: the board has no sensor that the agent can read (lathe devices "
                   "--doctor says more)"};
  }
  const Result<double> reference = calibrated_reference(spec, cancellation);
  if (!reference) return reference.failure();
  Calibration& calibration = calibrations_[spec.engine + "/" + std::to_string(spec.threads)];
  measure_control(spec, calibration, cancellation);
  latency::SessionOptions options;
  options.plan = plan;
  options.reference_s = reference.value();
  options.process_variance = calibration.variance;
  options.drift = calibration.drift;
  options.invalid_timing = settings_.invalid_timing;
  latency::MeasurementSession session(options);
  const double start_s = now_s();
  Measuring measuring{spec,
                      plan,
                      cancellation,
                      session,
                      start_s,
                      start_s + plan.budget_s + plan.sustain_s + plan.energy_s + settings_.grace_s,
                      reference.value()};
  double told_s = -kTellEvery_s;
  while (true) {
    const latency::Step step = session.next();
    if (step.kind == latency::Step::Kind::Finish) break;
    const Result<bool> done = step.kind == latency::Step::Kind::StartProcess
                                  ? start_process(measuring)
                                  : run_blocks(measuring, step.blocks);
    if (!done) return done.failure();
    if (now_s() - told_s < kTellEvery_s) continue;
    told_s = now_s();
    v1::MeasureProgress message;
    message.set_kept(static_cast<uint32_t>(session.kept()));
    message.set_rejected(static_cast<uint32_t>(session.rejected()));
    message.set_median_ms(session.median_ms());
    message.set_half_width(session.half_width());
    progress(message);
  }
  if (plan.energy_s > 0.0) {
    Result<latency::EnergyEstimate> energy = measure_energy(measuring);
    if (!energy) return energy.failure();
    measuring.energy = *energy;
  }
  measuring.worker.reset();
  calibration.variance = session.learned_variance();
  calibration.proven = true;
  // Calibrated while the board was throttled, or it is another one by now: the next job starts
  // anew.
  if (session.reference_has_moved()) calibration.reference_s = 0.0;
  return make_result(measuring);
}

/// In the last process, which is warm.
Result<latency::EnergyEstimate> JobDriver::measure_energy(Measuring& measuring) const {
  WorkerCommand command;
  internal::MeasureEnergy& request = *command.mutable_measure_energy();
  request.set_source(settings_.energy->name);
  request.set_count(latency::kEnergyWindows);
  request.set_window_s(measuring.plan.energy_s / latency::kEnergyWindows);
  Result<WorkerEvent> event =
      measuring.worker->call(command, measuring.deadline_s, measuring.cancellation);
  if (!event) return event.failure();
  std::vector<latency::EnergyWindow> windows;
  for (const internal::EnergyWindow& window : event->energy_measured().windows()) {
    windows.push_back({window.joules(), window.duration_s(), window.inferences()});
    if (window.joules() > 0.0) continue;
    return Failure{FailureKind::Unsupported,
                   "energy sensor " + settings_.energy->name + ": shows no energy within " +
                       std::to_string(request.window_s()) +
                       " s; measure for longer (measure.energy in the configuration)"};
  }
  latency::EnergyEstimate energy = latency::estimate_energy(windows, measuring.plan.level);
  energy.sensor = settings_.energy->name;
  return energy;
}

v1::LatencyResult JobDriver::make_result(const Measuring& measuring) const {
  latency::LatencyEstimate estimate = measuring.session.result();
  estimate.peak_memory_bytes = measuring.peak_memory_bytes;
  estimate.energy = measuring.energy;
  estimate.wall_s += measuring.plan.energy_s;
  latency::Conditions& conditions = estimate.conditions;
  conditions.engine = measuring.spec.engine;
  conditions.engine_version = settings_.engines->get(measuring.spec.engine).version();
  conditions.isa = settings_.board.isa;
  conditions.threads = measuring.spec.threads;
  conditions.precision = measuring.spec.precision;
  conditions.governor = read_board(settings_.board_root).governor();  // it may be set meanwhile
  if (settings_.invalid_timing) conditions.extra["emulated"] = "times mean nothing";
  if (measuring.frequency_count > 0) {
    conditions.frequency_hz =
        measuring.frequency_sum_hz / static_cast<double>(measuring.frequency_count);
  }
  conditions.temperature_c = measuring.temperature_c;
  conditions.extra["scheduling"] = measuring.real_time ? "real-time" : "ordinary";
  conditions.device_fingerprint = settings_.board.fingerprint();
  v1::LatencyResult result = to_wire(estimate);
  for (const double block : measuring.session.block_ms()) result.add_block_ms(block);
  result.set_reference_ms(1e3 * measuring.reference_s);
  return result;
}

Result<v1::ProfileResponse> JobDriver::profile(const JobSpec& spec, double budget_s,
                                               const Cancellation& cancellation) {
  const double limit_s = budget_s + settings_.grace_s;
  const double deadline_s = now_s() + limit_s;
  internal::Load load = make_load(spec, limit_s);
  load.set_with_candidate(true);
  WorkerEvent loaded;
  auto worker = start_worker(spec, load, deadline_s, cancellation, loaded);
  if (!worker) return worker.failure();
  WorkerCommand command;
  command.mutable_time_operators()->set_budget_s(budget_s);
  Result<WorkerEvent> event = (*worker)->call(command, deadline_s, cancellation);
  if (!event) return event.failure();
  v1::ProfileResponse response;
  response.set_total_ms(1e3 * event->operators_timed().total_s());
  for (const internal::TimedOperator& timed : event->operators_timed().operators()) {
    v1::OperatorTime& added = *response.add_operators();
    added.set_node(timed.node());
    added.set_operator_(timed.operator_());
    added.set_macs(timed.macs());
    added.set_median_ms(1e3 * timed.median_s());
  }
  return response;
}

Result<v1::RunResponse> JobDriver::run(const JobSpec& spec, const v1::RunRequest& request,
                                       const Cancellation& cancellation) {
  constexpr double kRunLimit_s = 600.0;
  const double deadline_s = now_s() + kRunLimit_s;
  internal::Load load = make_load(spec, kRunLimit_s);
  load.set_with_candidate(true);
  load.set_warm_up_limit_s(0.001);
  WorkerEvent loaded;
  auto worker = start_worker(spec, load, now_s() + settings_.grace_s, cancellation, loaded);
  if (!worker) return worker.failure();
  WorkerCommand command;
  *command.mutable_run_images()->mutable_shape() = request.shape();
  *command.mutable_run_images()->mutable_values() = request.inputs();
  Result<WorkerEvent> event = (*worker)->call(command, deadline_s, cancellation);
  if (!event) return event.failure();
  v1::RunResponse response;
  *response.mutable_shape() = event->images_run().shape();
  response.mutable_outputs()->Swap(event->mutable_images_run()->mutable_values());
  return response;
}

}  // namespace lathe::device
