#pragma once

#include <string>
#include <vector>

#include "device_agent/engine/engine.h"
#include "network/network.h"

namespace lathe::device {

/// Returns the names of every operator that the IR has.
std::vector<std::string> all_operator_names();

/// \throws EngineError Unsupported if `engine` lacks the precision, or the threads are not in [1,
/// usable cores].
void check_engine_options(const Engine& engine, const EngineOptions& options);

/// Returns true if network::deploy would change the network (BatchNorms or activations of their
/// own).
bool needs_deploy(const network::Network& network);

/// Returns how many cores this process may run on (its affinity mask).
int usable_cores();

}  // namespace lathe::device
