#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device_agent/board/board.h"
#include "device_agent/board/energy_meter.h"
#include "device_agent/engine/engine.h"
#include "device_agent/service/model_store.h"
#include "device_agent/worker/worker_process.h"
#include "latency/measurement/latency_estimate.h"

namespace lathe::device {

/// What every job of this agent shares. Immutable after start-up.
struct AgentSettings {
  const EngineRegistry* engines = nullptr;
  WorkerCommandLine worker;
  std::filesystem::path board_root = "/";
  BoardInfo board;
  std::optional<EnergySource> energy;  ///< what measures energy; nothing: the board cannot
  std::vector<int> usable_cores;       ///< measuring core last
  bool invalid_timing = false;         ///< emulated: results say so
  int64_t memory_limit_bytes = int64_t{512}
                               << 20;  ///< of a worker, beyond what it has at its start
  double grace_s = 20.0;  ///< beyond a job's budget, for starting, loading and one slow inference
};

/// What runs, checked against the engines.
struct JobSpec {
  std::string engine;
  int threads = 1;
  latency::Precision precision = latency::Precision::Fp32;
  int64_t memory_limit_bytes = 0;
  std::shared_ptr<const StoredModel> model;
};

/// Returns the cores for `threads` threads: the measuring core, then its neighbours downwards.
std::vector<int> cores_for(const AgentSettings& settings, int threads);

}  // namespace lathe::device
