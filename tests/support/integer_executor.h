#pragma once

#include <vector>

#include "network/network.h"

namespace lathe::test {

/// An int8 tensor, NCHW.
struct IntegerTensor {
  network::Shape shape;
  std::vector<int8_t> values;
};

/// network::run_quantized_node on integers: of a model that is quantised throughout.
IntegerTensor run_integer_node(const network::Model& model, const network::Node& node,
                               const std::vector<const IntegerTensor*>& inputs);

/// Runs a quantised model on a float image [1, C, H, W] and returns the outputs of all nodes.
std::vector<IntegerTensor> run_integers(const network::Model& model, const network::Tensor& image);

}  // namespace lathe::test
