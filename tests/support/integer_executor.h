#pragma once

#include <vector>

#include "network/network.h"

namespace lathe::test {

/// An int8 tensor, NCHW.
struct IntegerTensor {
  network::Shape shape;
  std::vector<int8_t> values;
};

/// Computes one node of a quantised model as the definition says: a layer's products of integers
/// are summed exactly, other operators compute on what the integers stand for; the result is
/// rounded to the nearest step, halves to even.
IntegerTensor run_integer_node(const network::Model& model, const network::Node& node,
                               const std::vector<const IntegerTensor*>& inputs);

/// Runs a quantised model on a float image [1, C, H, W] and returns the outputs of all nodes.
std::vector<IntegerTensor> run_integers(const network::Model& model, const network::Tensor& image);

}  // namespace lathe::test
