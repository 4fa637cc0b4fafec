#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/result.h"
#include "device_agent/service/job.h"
#include "device_agent/worker/cancellation.h"
#include "device_agent/worker/worker_process.h"
#include "latency/measurement/session.h"
#include "lathe/internal/worker.pb.h"

namespace lathe::device {

/// Returns what a worker is told to load for `spec`: the limits, the cores and no network yet.
/// `limit_s` is how long the job may take at most.
internal::Load load_of(const AgentSettings& settings, const JobSpec& spec, double limit_s);

/// A worker process with the networks of one job loaded. Not thread-safe; to be used by the thread
/// that started it.
class JobWorker {
 public:
  /// Starts a process and waits until it has loaded what `load` says, `deadline_s` on
  /// steady_clock() at most.
  static Result<JobWorker> start(const AgentSettings& settings, const JobSpec& spec,
                                 const internal::Load& load, double deadline_s,
                                 const Cancellation& cancellation);

  const internal::Loaded& loaded() const { return loaded_; }
  /// The most that any answer so far has told.
  int64_t peak_memory_bytes() const { return peak_memory_bytes_; }

  /// As WorkerProcess::call().
  Result<internal::WorkerEvent> call(const internal::WorkerCommand& command, double deadline_s,
                                     const Cancellation& cancellation);

  /// Runs the blocks. Every one that was planned comes back, and what it ran took a finite time
  /// above 0; else the worker counts as crashed.
  Result<std::vector<latency::Block>> run_blocks(const std::vector<latency::BlockPlan>& plans,
                                                 double deadline_s,
                                                 const Cancellation& cancellation);

 private:
  JobWorker(std::unique_ptr<WorkerProcess> process, const internal::WorkerEvent& loaded);

  std::unique_ptr<WorkerProcess> process_;
  internal::Loaded loaded_;
  int64_t peak_memory_bytes_ = 0;
};

}  // namespace lathe::device
