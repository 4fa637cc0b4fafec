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

}  // namespace lathe::test
