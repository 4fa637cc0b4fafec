#pragma once

#include <map>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// The smallest and the largest value that a tensor takes.
struct ValueRange {
  float low = 0.0F;
  float high = 0.0F;
};

/// By node name.
using ValueRanges = std::map<std::string, ValueRange>;

/// Returns the form that is quantised: deployed, with every activation but relu and relu6 as the
/// node "NAME.activation" again, because in int8 its input needs a scale of its own. Node and
/// parameter names are otherwise those of deploy().
Model quantizable(Model model);

/// Runs a model on `images` by run_reference and returns what every node's output takes.
ValueRanges observe_ranges(const Model& model, const Tensor& images);

/// Returns one scale a channel for `weight` [out, ...]: its largest value becomes 127, and a bias
/// (null: none) added to products with inputs at `input_scale` fits into 32 bits.
std::vector<float> weight_scales(const Tensor& weight, const Tensor* bias, float input_scale);

/// Returns a model in quantizable() form as int8: weights symmetric with one scale a channel,
/// activations with one scale and zero point a tensor, biases 32-bit; Weights then hold the rounded
/// values. Tensors whose values are only moved (slices, concatenations, shuffles, max pools,
/// resizing) share one scale with what they are made of, so that moving them costs no arithmetic.
/// \throws InvariantError naming a node that `ranges` lacks, or whose range is not finite.
Model quantize(Model model, const ValueRanges& ranges);

/// The same with one made-up range for every tensor: for the time that int8 takes, which the values
/// do not change. Outputs mean nothing.
Model quantize_nominally(Model model);

}  // namespace lathe::network
