#pragma once

#include <memory>

#include "device_agent/engine/engine.h"

namespace lathe::device {

/// Returns the engine on XNNPACK's operators: every operator of the IR, in fp32 and int8, channels
/// last. A model without quantisation runs in int8 only if its weights stand for any: then for its
/// time alone. One thread runs without a thread pool. \throws EngineError Unsupported if XNNPACK
/// does not run on this machine.
std::unique_ptr<Engine> make_xnnpack_engine();

}  // namespace lathe::device
