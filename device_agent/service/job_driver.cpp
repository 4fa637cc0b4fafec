#include "device_agent/service/job_driver.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"
#include "device_agent/service/wire.h"
#include "latency/measurement/energy.h"
#include "lathe/internal/worker.pb.h"

namespace lathe::device {

using internal::WorkerCommand;
using internal::WorkerEvent;

namespace {

// A message costs the board and the controller, which may have fifty boards; nobody reads faster.
constexpr double kTellEvery_s = 0.25;

// A call may take this many times what its blocks should, and this much more, before the worker
// counts as hung.
constexpr double kSlowness = 20.0;
constexpr double kSlack_s = 2.0;

double now_s() { return steady_clock().now_s(); }

}  // namespace

struct JobDriver::Measuring {
  const JobSpec& spec;
  const latency::MeasurementPlan& plan;
  const Cancellation& cancellation;
  latency::MeasurementSession& session;
  double start_s = 0.0;
  double deadline_s = 0.0;
  double reference_s = 0.0;
  std::optional<JobWorker> worker = std::nullopt;
  int64_t peak_memory_bytes = 0;
  double frequency_sum_hz = 0.0;
  int64_t frequency_count = 0;
  double temperature_c = -1.0;
  std::optional<latency::EnergyEstimate> energy = std::nullopt;
  double elapsed_s() const { return now_s() - start_s; }
  void note_memory() {
    peak_memory_bytes = std::max(peak_memory_bytes, worker->peak_memory_bytes());
  }
};

Result<bool> JobDriver::start_process(Measuring& measuring) {
  // Held until the next one is loaded: the kernel would give it the very pages of the one that just
  // ended, and the two would agree more than processes do.
  const std::optional<JobWorker> previous = std::exchange(measuring.worker, std::nullopt);
  internal::Load load =
      load_of(settings_, measuring.spec, std::max(1.0, measuring.deadline_s - now_s()));
  load.set_with_candidate(true);
  load.set_with_reference(true);
  load.set_warm_up_limit_s(
      std::min(1.0, measuring.plan.budget_s / (4.0 * measuring.plan.processes)));
  Result<JobWorker> worker = JobWorker::start(settings_, measuring.spec, load, measuring.deadline_s,
                                              measuring.cancellation);
  if (!worker) return worker.failure();
  measuring.worker = std::move(worker).value();
  measuring.note_memory();
  const internal::Loaded& loaded = measuring.worker->loaded();
  measuring.session.set_weight_bytes(loaded.weight_bytes());
  measuring.session.begin_process(loaded.candidate_s(), loaded.reference_s(),
                                  measuring.elapsed_s());
  return true;
}

Result<bool> JobDriver::run_blocks(Measuring& measuring,
                                   const std::vector<latency::BlockPlan>& plans) {
  double expected_s = 0.0;
  for (const latency::BlockPlan& plan : plans) {
    expected_s += measuring.worker->loaded().candidate_s() *
                      (plan.candidate_inferences + plan.candidate_primers) +
                  measuring.reference_s * (plan.reference_inferences + plan.reference_primers);
  }
  const double deadline_s =
      std::min(measuring.deadline_s, now_s() + kSlowness * expected_s + kSlack_s);
  const auto blocks = measuring.worker->run_blocks(plans, deadline_s, measuring.cancellation);
  if (!blocks) return blocks.failure();
  measuring.note_memory();
  for (const latency::Block& block : *blocks) {
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
  const Result<double> reference = calibrator_.reference_s(spec, cancellation);
  if (!reference) return reference.failure();
  calibrator_.measure_control(spec, cancellation);
  Calibration& calibration = calibrator_.of(spec);
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
  conditions.extra["scheduling"] =
      measuring.worker->loaded().real_time() ? "real-time" : "ordinary";
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
  internal::Load load = load_of(settings_, spec, limit_s);
  load.set_with_candidate(true);
  Result<JobWorker> worker = JobWorker::start(settings_, spec, load, deadline_s, cancellation);
  if (!worker) return worker.failure();
  WorkerCommand command;
  command.mutable_time_operators()->set_budget_s(budget_s);
  Result<WorkerEvent> event = worker->call(command, deadline_s, cancellation);
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
  internal::Load load = load_of(settings_, spec, kRunLimit_s);
  load.set_with_candidate(true);
  load.set_warm_up_limit_s(0.001);
  Result<JobWorker> worker =
      JobWorker::start(settings_, spec, load, now_s() + settings_.grace_s, cancellation);
  if (!worker) return worker.failure();
  WorkerCommand command;
  *command.mutable_run_images()->mutable_shape() = request.shape();
  *command.mutable_run_images()->mutable_values() = request.inputs();
  Result<WorkerEvent> event = worker->call(command, deadline_s, cancellation);
  if (!event) return event.failure();
  v1::RunResponse response;
  *response.mutable_shape() = event->images_run().shape();
  response.mutable_outputs()->Swap(event->mutable_images_run()->mutable_values());
  return response;
}

}  // namespace lathe::device
