#pragma once

#include <utility>

#include "network/quantize.h"
#include "tests/support/random_network.h"

namespace lathe::test {

/// Returns `model` in int8, with the ranges that two images of standard normal values have.
inline network::Model quantized_model(const network::Model& model, const Rng& rng) {
  network::Model prepared = network::quantizable(model);
  network::Shape shape = prepared.network.input_shape();
  shape[0] = 2;
  const network::ValueRanges ranges = network::observe_ranges(prepared, random_tensor(shape, rng));
  return network::quantize(std::move(prepared), ranges);
}

/// The same with about this share of its layers in fp32.
inline network::Model mixed_model(const network::Model& model, double share, Rng rng) {
  network::Model prepared = network::quantizable(model);
  network::Shape shape = prepared.network.input_shape();
  shape[0] = 2;
  const network::ValueRanges ranges =
      network::observe_ranges(prepared, random_tensor(shape, rng.derive("images")));
  network::QuantizeOptions options;
  for (const network::Node& node : prepared.network.nodes()) {
    const bool layer = std::holds_alternative<network::Conv2d>(node.op) ||
                       std::holds_alternative<network::Linear>(node.op);
    if (layer && rng.bernoulli(share)) options.float_layers.insert(node.name);
  }
  return network::quantize(std::move(prepared), ranges, options);
}

}  // namespace lathe::test
