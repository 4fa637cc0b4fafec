#pragma once

#include "device_agent/engine/engine.h"

namespace lathe::device {

/// Descriptors that a worker process inherits.
constexpr int kWorkerChannel = 3;
constexpr int kWorkerModel = 4;

/// The whole life of a worker process: obeys commands from the inherited channel until it is
/// closed. Limits itself before it reads the model. Returns the exit code. Every failure that the
/// process survives is sent as a typed event.
int run_worker(const EngineRegistry& engines);

}  // namespace lathe::device
