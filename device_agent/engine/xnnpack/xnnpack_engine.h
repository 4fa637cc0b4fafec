#pragma once

#include <memory>

#include "device_agent/engine/engine.h"

namespace lathe::device {

/// Returns the engine on XNNPACK's operators: every operator of the IR, fp32, channels last. One
/// thread runs without a thread pool. \throws EngineError Unsupported if XNNPACK does not run on
/// this machine.
std::unique_ptr<Engine> make_xnnpack_engine();

}  // namespace lathe::device
