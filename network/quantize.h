#pragma once

#include <map>
#include <set>
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

/// How the scale of a weight's channel is chosen: None keeps its largest value, Mse looks for the
/// scale with the least squared error, which may cut large values off.
enum class WeightClipping { None, Mse };

struct QuantizeOptions {
  WeightClipping clipping = WeightClipping::None;
  /// Names of the Conv2d and Linear nodes that stay in fp32. What lies between such layers alone
  /// stays in fp32 with them.
  std::set<std::string> float_layers;
  /// Scales to take in place of chosen ones, by parameter, one an output channel; larger ones where
  /// a bias would not fit into 32 bits.
  std::map<std::string, std::vector<float>> weight_scales;
};

/// Returns one scale a channel for `weight` [out, ...]: its largest value becomes 127 (or more, if
/// clipped), and a bias (null: none) added to products with inputs at `input_scale` fits into 32
/// bits.
std::vector<float> weight_scales(const Tensor& weight, const Tensor* bias, float input_scale,
                                 WeightClipping clipping = WeightClipping::None);

/// Returns the scale and zero point for values of a range: 256 steps, zero always among them, for
/// padding needs it and the clamp of a relu lies there.
TensorScale scale_for(ValueRange range);

/// Returns for every node the first of those that share a scale with it: tensors whose values are
/// only moved (slices, concatenations, shuffles, max pools, resizing) share it with what they are
/// made of, so that moving them costs no arithmetic.
std::vector<size_t> scale_groups(const Network& network);

/// Returns which nodes' outputs stay float when these layers compute in fp32, by NodeId.
/// \throws InvariantError for a name that is not that of a Conv2d or Linear node.
std::vector<bool> float_tensors(const Network& network, const std::set<std::string>& float_layers);

/// Returns a model in quantizable() form as int8: weights symmetric with one scale a channel,
/// activations with one scale and zero point a tensor (or group, see scale_groups), biases 32-bit;
/// Weights then hold the rounded values. \throws InvariantError naming a node that `ranges` lacks,
/// or whose range is not finite, or a weight whose given scales do not fit.
Model quantize(Model model, const ValueRanges& ranges, const QuantizeOptions& options = {});

/// The same with one made-up range for every tensor: for the time that int8 takes, which the values
/// do not change. Outputs mean nothing.
Model quantize_nominally(Model model);

}  // namespace lathe::network
