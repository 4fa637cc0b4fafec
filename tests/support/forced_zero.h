#pragma once

#include <set>
#include <vector>

#include "network/passes.h"
#include "network/pruning/channel_groups.h"
#include "tests/support/random_network.h"

namespace lathe::test {

/// Sets channel `c` of an output [N, C, ...] to zero.
inline void zero_channel(network::Tensor& tensor, int64_t c) {
  const int64_t channels = tensor.shape[1];
  const int64_t pixels = network::element_count(tensor.shape) / (tensor.shape[0] * channels);
  for (int64_t n = 0; n < tensor.shape[0]; ++n) {
    const auto begin = tensor.values.begin() + (n * channels + c) * pixels;
    std::fill(begin, begin + pixels, 0.0F);
  }
}

/// Runs the model with the channels tied to `removed` forced to zero in every output: what a pruned
/// model must compute.
inline network::Tensor run_with_zeros(const network::Model& model, const network::Tensor& input,
                                      const std::vector<network::Channel>& removed) {
  const network::ChannelCoupling coupling(model.network);
  std::set<size_t> classes;
  for (const network::Channel& channel : removed) classes.insert(coupling.class_of(channel));
  std::vector<network::Tensor> outputs;
  for (const network::Node& node : model.network.nodes()) {
    if (node.id == model.network.input()) {
      outputs.push_back(input);
      continue;
    }
    std::vector<const network::Tensor*> inputs;
    for (const network::NodeId id : node.inputs) {
      inputs.push_back(&outputs[static_cast<size_t>(id)]);
    }
    outputs.push_back(network::run_reference_node(node, model.weights, inputs));
    for (int64_t c = 0; c < node.shape[1]; ++c) {
      if (classes.count(coupling.class_of({node.id, c})) > 0) zero_channel(outputs.back(), c);
    }
  }
  return outputs[static_cast<size_t>(model.network.output())];
}

/// Draws some units of every group, never all of one.
inline std::vector<network::Channel> random_removal(
    const std::vector<network::ChannelGroup>& groups, Rng rng) {
  std::vector<network::Channel> removed;
  for (const network::ChannelGroup& group : groups) {
    const double share = rng.uniform();
    const auto kept = static_cast<size_t>(rng.below(group.units.size()));
    for (size_t u = 0; u < group.units.size(); ++u) {
      if (u != kept && rng.bernoulli(share)) removed.push_back(group.units[u][0]);
    }
  }
  return removed;
}

}  // namespace lathe::test
