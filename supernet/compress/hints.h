#pragma once

#include <string>
#include <vector>

#include "network/network.h"
#include "supernet/standalone.h"

namespace lathe::supernet {

/// Returns the node that a hint names: see Hint. \throws ConfigError listing the first parts of the
/// network's names if there is none, or it has no height and width.
network::NodeId hint_node(const network::Network& network, const std::string& name);

/// A student as it is trained: where its features have other channels than the teacher's, a 1x1
/// convolution with bias ("hint0.regressor") makes them comparable. The network's output stays what
/// it was, and the regressors are not part of what is kept.
struct HintedNetwork {
  network::Network network;
  std::vector<network::NodeId> features;  ///< one a hint, to be held against the teacher's
};
HintedNetwork with_regressors(const network::Network& student, const network::Network& teacher,
                              const std::vector<Hint>& hints);

}  // namespace lathe::supernet
