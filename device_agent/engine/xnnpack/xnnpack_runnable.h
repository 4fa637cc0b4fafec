#pragma once

#include <memory>

#include "device_agent/engine/engine.h"
#include "device_agent/engine/xnnpack/operators.h"

namespace lathe::device {

/// Plans and packs a deployed model that runs on `pool` (null: on the calling thread).
/// \throws EngineError naming the node that XNNPACK refuses.
std::unique_ptr<Runnable> make_xnnpack_runnable(network::Model model,
                                                std::shared_ptr<pthreadpool> pool);

}  // namespace lathe::device
