#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "network/network.h"
#include "network/passes.h"
#include "tests/support/random_network.h"

namespace lathe::test {

/// Returns random_weights whose normalisation has the statistics of what it normalises, as after
/// training: activations stay near one however deep the network is, so that rounding neither
/// vanishes nor decides everything. Runs the reference on four images.
inline network::Weights fitted_weights(const network::Network& network, uint64_t seed) {
  network::Weights weights = network::random_weights(network, seed);
  network::Shape batch = network.input_shape();
  batch[0] = 4;
  std::vector<network::Tensor> outputs;
  for (const network::Node& node : network.nodes()) {
    if (node.inputs.empty()) {
      outputs.push_back(random_tensor(batch, Rng(seed).derive("fitting images")));
      continue;
    }
    std::vector<const network::Tensor*> inputs;
    for (const network::NodeId id : node.inputs) {
      inputs.push_back(&outputs[static_cast<size_t>(id)]);
    }
    if (std::holds_alternative<network::BatchNorm>(node.op)) {
      const network::Tensor& in = *inputs[0];
      const auto channels = static_cast<size_t>(in.shape[1]);
      const size_t plane = in.values.size() / (static_cast<size_t>(in.shape[0]) * channels);
      for (size_t c = 0; c < channels; ++c) {
        double sum = 0.0;
        double squares = 0.0;
        for (size_t i = c * plane; i < in.values.size(); i += channels * plane) {
          for (size_t p = i; p < i + plane; ++p) {
            sum += double{in.values[p]};
            squares += double{in.values[p]} * double{in.values[p]};
          }
        }
        const double count = static_cast<double>(in.values.size() / channels);
        const double mean = sum / count;
        weights.at(node.parameters[2].name).values[c] = static_cast<float>(mean);
        weights.at(node.parameters[3].name).values[c] =
            static_cast<float>(std::max(squares / count - mean * mean, 1e-6));
      }
    }
    outputs.push_back(network::run_reference_node(node, weights, inputs));
  }
  return weights;
}

}  // namespace lathe::test
