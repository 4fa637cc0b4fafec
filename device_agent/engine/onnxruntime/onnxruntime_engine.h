#pragma once

#include <memory>

#include "device_agent/engine/engine.h"

namespace lathe::device {

/// Returns the engine on ONNX Runtime's CPU provider: every operator of the IR, in fp32 and int8
/// (QDQ). A model without quantisation runs in int8 as with XNNPACK. The runtime fuses operators
/// as it likes and tells their times only in a file, which workers may not write: the profile shows
/// the network as one operator. \throws EngineError Unsupported if the library is too old.
std::unique_ptr<Engine> make_onnxruntime_engine();

}  // namespace lathe::device
