#pragma once

#include "device_agent/engine/engine.h"

namespace lathe::device::testing {

/// Adds engines that misbehave on every network but the agent's reference network: "fault:crash",
/// "fault:abort", "fault:memory", "fault:hang", "fault:deaf" (hangs and ignores SIGTERM),
/// "fault:exit", "fault:garbage" (writes nonsense to the agent), "fault:mute" (closes its channel
/// and lives on), "fault:throw"; and "spin", whose networks all take about 50 microseconds. For
/// tests only.
void add_test_engines(EngineRegistry& engines);

}  // namespace lathe::device::testing
