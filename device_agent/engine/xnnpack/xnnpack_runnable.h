#pragma once

#include <memory>

#include "device_agent/engine/engine.h"
#include "device_agent/engine/xnnpack/operators.h"

namespace lathe::device {

/// What the integers of a runnable stand for.
enum class Scales { OfTheModel, Nominal };

/// Plans and packs a model, deployed or quantised, that runs on `pool` (null: on the calling
/// thread). With nominal scales it takes no input and gives no output: they would mean nothing.
/// \throws EngineError naming the node that XNNPACK refuses.
std::unique_ptr<Runnable> make_xnnpack_runnable(network::Model model, Scales scales,
                                                std::shared_ptr<pthreadpool> pool);

}  // namespace lathe::device
