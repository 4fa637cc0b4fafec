#pragma once

#include "core/result.h"
#include "latency/fleet/agent_client.h"
#include "latency/fleet/device_config.h"

namespace lathe::latency {

/// Measures the network by which the boards of a class are compared, as the class is configured,
/// and returns its milliseconds. Takes about a second on a fast board. Failures as of AgentClient;
/// Unsupported for an emulated board.
Result<double> measure_reference(AgentClient& client, const Lease& lease,
                                 const DeviceConfig& config);

}  // namespace lathe::latency
