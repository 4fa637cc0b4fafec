#include "device_agent/service/job_worker.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/clock.h"
#include "core/error.h"

namespace lathe::device {
namespace {

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

Failure out_of_turn() { return {FailureKind::Crashed, "the worker process answered out of turn"}; }

Failure no_time() { return {FailureKind::Crashed, "the worker process reported no time"}; }

bool is_time(double seconds) { return seconds > 0.0 && std::isfinite(seconds); }

}  // namespace

std::vector<int> cores_for(const AgentSettings& settings, int threads) {
  const auto count =
      std::min<size_t>(static_cast<size_t>(std::max(threads, 1)), settings.usable_cores.size());
  return {settings.usable_cores.end() - static_cast<ptrdiff_t>(count), settings.usable_cores.end()};
}

internal::Load load_of(const AgentSettings& settings, const JobSpec& spec, double limit_s) {
  internal::Load load;
  load.set_engine(spec.engine);
  load.set_threads(static_cast<uint32_t>(spec.threads));
  load.set_precision(static_cast<uint32_t>(spec.precision));
  load.set_memory_limit_bytes(spec.memory_limit_bytes > 0 ? spec.memory_limit_bytes
                                                          : settings.memory_limit_bytes);
  // Beyond what the deadline allows: it only ends a worker that nobody waits for any more.
  load.set_cpu_limit_s((limit_s + 2.0) * spec.threads);
  for (const int core : cores_for(settings, spec.threads)) {
    load.add_cores(static_cast<uint32_t>(core));
  }
  load.set_board_root(settings.board_root.string());
  load.set_warm_up_limit_s(1.0);
  return load;
}

JobWorker::JobWorker(std::unique_ptr<WorkerProcess> process, const internal::WorkerEvent& loaded)
    : process_(std::move(process)),
      loaded_(loaded.loaded()),
      peak_memory_bytes_(loaded.peak_memory_bytes()) {}

Result<JobWorker> JobWorker::start(const AgentSettings& settings, const JobSpec& spec,
                                   const internal::Load& load, double deadline_s,
                                   const Cancellation& cancellation) {
  try {
    auto process = std::make_unique<WorkerProcess>(settings.worker,
                                                   spec.model ? spec.model->descriptor() : -1);
    internal::WorkerCommand command;
    *command.mutable_load() = load;
    const Result<internal::WorkerEvent> event = process->call(command, deadline_s, cancellation);
    if (!event) return event.failure();
    if (!event->has_loaded()) return out_of_turn();
    const internal::Loaded& loaded = event->loaded();
    if ((load.with_candidate() && !is_time(loaded.candidate_s())) ||
        (load.with_reference() && !is_time(loaded.reference_s()))) {
      return no_time();
    }
    return JobWorker(std::move(process), *event);
  } catch (const DeviceError& error) {
    return Failure{FailureKind::Internal, error.what()};
  }
}

Result<internal::WorkerEvent> JobWorker::call(const internal::WorkerCommand& command,
                                              double deadline_s, const Cancellation& cancellation) {
  Result<internal::WorkerEvent> event = process_->call(command, deadline_s, cancellation);
  if (event) peak_memory_bytes_ = std::max(peak_memory_bytes_, event->peak_memory_bytes());
  return event;
}

Result<std::vector<latency::Block>> JobWorker::run_blocks(
    const std::vector<latency::BlockPlan>& plans, double deadline_s,
    const Cancellation& cancellation) {
  internal::WorkerCommand command;
  *command.mutable_run_blocks() = to_wire(plans);
  const Result<internal::WorkerEvent> event = call(command, deadline_s, cancellation);
  if (!event) return event.failure();
  if (event->blocks_done().blocks_size() != static_cast<int>(plans.size())) return out_of_turn();
  std::vector<latency::Block> blocks;
  for (const internal::Block& sent : event->blocks_done().blocks()) {
    blocks.push_back(from_wire(sent));
    const latency::Block& block = blocks.back();
    const bool timed = (loaded_.candidate_s() == 0.0 || is_time(block.candidate_s)) &&
                       (loaded_.reference_s() == 0.0 || is_time(block.reference_s));
    if (!timed) return no_time();
  }
  return blocks;
}

}  // namespace lathe::device
