#pragma once

#include "device_agent/engine/engine.h"

namespace lathe::device {

/// The program lathe-agent with the given engines: command line, worker mode, server, signals.
/// Returns the exit code.
int agent_main(int argc, char** argv, const EngineRegistry& engines);

}  // namespace lathe::device
