#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// The published networks by name, for checking counts and as baselines on a board: "mobilenet_v1",
/// "mobilenet_v2", "mobilenet_v2_0.35", "mnasnet", "efficientnet_b0", "shufflenet_v2", "resnet18".
std::vector<std::string> reference_network_names();

struct ReferenceOptions {
  int64_t resolution = 224;
  int64_t channels = 3;
  int64_t classes = 1000;
};

/// Returns the network called `name`, lowered to the IR with BN and separate activations.
/// \throws ConfigError listing the names if there is none.
Network reference_network(const std::string& name, const ReferenceOptions& options = {});

}  // namespace lathe::network
