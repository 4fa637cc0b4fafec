#pragma once

#include <cstdint>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// What a network costs, counted, not measured.
struct Cost {
  int64_t macs = 0;  ///< multiply-accumulates of convolutions and linear layers at batch 1
  int64_t params =
      0;  ///< learned values: weights, biases, BN gamma and beta (not running statistics)
  int64_t peak_activation_bytes = 0;  ///< largest sum of live float activations over the node order
  int64_t model_bytes = 0;            ///< float weights as stored after BN folding
};

/// Counts the whole network. Peak activation memory is by liveness in node order: a tensor lives
/// from its node to its last use; activations, Add and BatchNorm run in place when their input dies
/// there.
Cost cost(const Network& network);
/// The same with deploy(network) at hand.
Cost cost(const Network& network, const Network& deployed);
/// Of a quantised model what it is in int8: a byte for each integer, four for each float.
Cost cost(const Model& model);

/// Returns each node's multiply-accumulates, indexed by NodeId.
std::vector<int64_t> node_macs(const Network& network);

}  // namespace lathe::network
