#pragma once

#include <string>
#include <utility>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// The largest tensor or parameter that a network may hold, in values; keeps every product in 64
/// bits.
constexpr int64_t kMaxTensorElements = int64_t{1} << 31;

/// What an operator makes of its inputs.
struct InferredNode {
  Shape shape;  ///< of the output
  std::vector<std::pair<std::string, Shape>>
      parameters;  ///< role ("weight", "bias", ...) and shape
};

/// Infers output and parameter shapes of `op` called `name` on `inputs`, for any operator but
/// Input. \throws InvariantError "operator name: input shapes, attribute: what is wrong".
InferredNode infer(const std::string& name, const Operator& op, const std::vector<Shape>& inputs);

/// \throws InvariantError if a network's input of this shape is not [1, C, H, W] with positive
/// dimensions.
void check_input_shape(const std::string& name, const Shape& shape);

}  // namespace lathe::network
