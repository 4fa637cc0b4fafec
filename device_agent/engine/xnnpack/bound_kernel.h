#pragma once

#include <xnnpack.h>

#include <string>

#include "device_agent/engine/xnnpack/operators.h"

namespace lathe::device::xnn {

/// \throws EngineError with the status' name if `status` is not success.
void check(xnn_status status, const char* what);

}  // namespace lathe::device::xnn
