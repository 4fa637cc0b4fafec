#pragma once

#include <functional>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// Computes one node of a quantised model as the definition says, on the values that its inputs'
/// integers stand for: a layer of integers sums its products exactly and scales the sum in float as
/// int8 kernels do; other nodes compute in float. What has a scale is rounded to the nearest step,
/// halves to even. \pre the model has no quantization_fault, shapes and weights fit.
Tensor run_quantized_node(const Model& model, const Node& node,
                          const std::vector<const Tensor*>& inputs);

/// Runs a quantised model on `input` (float NCHW, any N) in exact integer arithmetic: the oracle
/// for int8 engines, as run_reference is for float ones. Slow. Tensors hold the values that the
/// integers stand for. `observe` is called with the output of every node, in order. \throws
/// InvariantError for a model with a quantization_fault or an input that does not fit.
Tensor run_quantized(const Model& model, const Tensor& input,
                     const std::function<void(const Node&, const Tensor&)>& observe = {});

}  // namespace lathe::network
