#pragma once

#include <memory>

#include "device_agent/engine/engine_support.h"
#include "device_agent/engine/xnnpack/operators.h"

namespace lathe::device {

/// Plans and packs a model that runs on `pool` (null: on the calling
/// thread). With nominal scales it takes no input and gives no output: they would mean nothing.
/// \throws EngineError naming the node that XNNPACK refuses.
std::unique_ptr<Runnable> make_xnnpack_runnable(PreparedModel prepared,
                                                std::shared_ptr<pthreadpool> pool);

}  // namespace lathe::device
