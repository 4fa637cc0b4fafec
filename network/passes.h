#pragma once

#include <functional>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// Returns the model with every BatchNorm that follows a convolution (and is its only use) folded
/// into the convolution's weight and bias. Other BatchNorms stay. Outputs are the same up to
/// rounding. \throws InvariantError if a parameter is missing or the model is quantised: its scales
/// belong to the nodes as they are.
Model fold_batch_norm(const Model& model);

/// Returns the model with each Activation moved into the Conv2d, Linear or Add before it where it
/// is the only use. The weights are unchanged. \throws InvariantError if the model is quantised.
Model fuse_activations(const Model& model);

/// Returns which nodes the output needs, indexed by NodeId; the input always counts as needed.
std::vector<bool> needed_nodes(const Network& network);

/// Returns the network without the nodes that its output does not need (the input stays).
Network drop_unused(const Network& network);

/// The form that is exported and measured: drop_unused, fold_batch_norm, then fuse_activations.
/// Every parameter is named after its node, so nodes that shared a tensor have one each. A
/// quantised model was deployed before it was quantised and is returned as it is.
Model deploy(const Model& model);

/// The same rewriting of the network alone, for latency: parameters are renamed and resized as
/// deploy does.
Network deploy(const Network& network);

/// Computes one node from the outputs of its inputs, as run_reference does. \pre shapes and weights
/// fit.
Tensor run_reference_node(const Node& node, const Weights& weights,
                          const std::vector<const Tensor*>& inputs);

/// Runs the model on `input` (float NCHW, any N) by plain loops: the oracle for executors, engines
/// and exporters. Slow; for tests and parity checks of small inputs. `observe` is called with the
/// output of every node, in order.
Tensor run_reference(const Model& model, const Tensor& input,
                     const std::function<void(const Node&, const Tensor&)>& observe = {});

}  // namespace lathe::network
