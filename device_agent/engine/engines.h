#pragma once

#include "device_agent/engine/engine.h"

namespace lathe::device {

/// Adds the engines that this program was built with. \throws EngineError Unsupported if one does
/// not run on this machine.
void add_engines(EngineRegistry& engines);

}  // namespace lathe::device
