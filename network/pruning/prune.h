#pragma once

#include <vector>

#include "network/pruning/channel_groups.h"

namespace lathe::network {

/// Returns the model without the channels `removed` and all that are tied to them
/// (ChannelCoupling). Its output is what the original's would be with those channels forced to zero
/// wherever they occur. Nodes keep their names; every parameter is named after its node, so nodes
/// that shared a tensor have one each, as after deploy(). \throws InvariantError if a channel does
/// not exist, is fixed, or no channel of a node would be left; if a parameter is missing or the
/// model is quantised.
Model prune(const Model& model, const std::vector<Channel>& removed);

/// The same of a network alone, for its cost and latency.
Network prune(const Network& network, const std::vector<Channel>& removed);

}  // namespace lathe::network
