#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/digest.h"
#include "network/network.h"

namespace lathe::supernet {

/// One operation to run: a node, and the Activation after it where that is the node's only use.
struct Step {
  network::Operator op;
  network::ActivationKind activation = network::ActivationKind::Identity;
  std::vector<network::Parameter> parameters;
  std::vector<int> inputs;  ///< indices of earlier steps
  network::Shape shape;     ///< of the result at batch 1
  network::Digest digest;   ///< of the last node that it covers; zero in a plan of one network
  std::string name;         ///< of the first network's node, for messages
  int uses = 0;             ///< by later steps and as results
};

/// Several networks as one list of steps in execution order; equal computations occur once. Value
/// type.
struct Plan {
  std::vector<Step> steps;
  std::vector<int> results;  ///< the step that gives each network's result

  /// Bytes of the float results alive at once when steps run in order on `batch` images and each is
  /// dropped after its last use.
  int64_t peak_bytes(int64_t batch) const;
};

/// Returns the steps of one network in node order, without digests.
Plan make_plan(const network::Network& network);

/// The same, giving the values of the nodes `also` besides: `results` holds the network's own
/// first, then theirs. A node whose only use is an Activation gives the activated value.
Plan make_plan(const network::Network& network, const std::vector<network::NodeId>& also);

/// Returns the forest of `networks`: nodes of equal computation digest are one step. Networks are
/// laid out so that shared prefixes are neighbours, so that results live only along the current
/// path. `results` keeps the given order.
Plan make_forest(const std::vector<const network::Network*>& networks);

}  // namespace lathe::supernet
