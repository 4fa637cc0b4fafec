#include "network/quantize.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "network/passes.h"

namespace lathe::network {
namespace {

constexpr double kActivationSteps = 255.0;
constexpr double kWeightSteps = 127.0;
/// Biases stay well inside 32 bits, so that the sum of products added to them fits, too.
constexpr double kLargestBias = 1 << 30;
/// Between the smallest and the largest scale of one weight; kernels shift by a limited number of
/// bits.
constexpr double kScaleSpread = 1 << 20;

ActivationKind* lifted_activation(Operator& op) {
  ActivationKind* kind = nullptr;
  if (auto* conv = std::get_if<Conv2d>(&op)) kind = &conv->activation;
  if (auto* linear = std::get_if<Linear>(&op)) kind = &linear->activation;
  if (auto* add = std::get_if<Add>(&op)) kind = &add->activation;
  if (kind == nullptr) return nullptr;
  const bool clamp = *kind == ActivationKind::Identity || *kind == ActivationKind::Relu ||
                     *kind == ActivationKind::Relu6;
  return clamp ? nullptr : kind;
}

Network lift_activations(const Network& network) {
  std::set<std::string> names;
  for (const Node& node : network.nodes()) names.insert(node.name);
  Network result;
  std::vector<NodeId> new_ids;
  for (const Node& node : network.nodes()) {
    if (node.id == network.input()) {
      new_ids.push_back(result.add_input(node.name, node.shape));
      continue;
    }
    std::vector<NodeId> inputs;
    for (const NodeId id : node.inputs) inputs.push_back(new_ids[static_cast<size_t>(id)]);
    Operator op = node.op;
    ActivationKind kind = ActivationKind::Identity;
    if (ActivationKind* slot = lifted_activation(op)) std::swap(*slot, kind);
    NodeId id = result.add(node.name, op, inputs);
    if (kind != ActivationKind::Identity) {
      std::string name = node.name + ".activation";
      while (!names.insert(name).second) name += "_";
      id = result.add(name, Activation{kind}, {id});
    }
    new_ids.push_back(id);
  }
  result.set_output(new_ids[static_cast<size_t>(network.output())]);
  return result;
}

bool moves_values(const Operator& op) {
  return std::holds_alternative<Concat>(op) || std::holds_alternative<ChannelSlice>(op) ||
         std::holds_alternative<ChannelShuffle>(op) || std::holds_alternative<MaxPool>(op) ||
         std::holds_alternative<Flatten>(op) || std::holds_alternative<Resize>(op);
}

bool is_layer(const Operator& op) {
  return std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op);
}

/// Returns which nodes compute in float: the given layers, and what has none but them around it.
std::vector<bool> between_float_layers(const Network& network,
                                       const std::set<std::string>& float_layers) {
  const size_t count = network.nodes().size();
  std::vector<bool> chosen(count);
  std::vector<bool> above(count, true);  // all nearest layers before the node are float
  std::vector<bool> below(count, true);
  const auto is_float = [&](const std::vector<bool>& side, NodeId id) {
    const auto index = static_cast<size_t>(id);
    return is_layer(network.nodes()[index].op) ? bool(chosen[index]) : bool(side[index]);
  };
  for (const Node& node : network.nodes()) {
    const auto index = static_cast<size_t>(node.id);
    chosen[index] = float_layers.count(node.name) != 0;
    for (const NodeId id : node.inputs) above[index] = above[index] && is_float(above, id);
  }
  for (size_t i = count; i-- > 0;) {
    for (const NodeId id : network.nodes()[i].inputs) {
      const auto index = static_cast<size_t>(id);
      below[index] = below[index] && is_float(below, static_cast<NodeId>(i));
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (!is_layer(network.nodes()[i].op)) chosen[i] = above[i] && below[i];
  }
  return chosen;
}

ValueRange range_of(const Node& node, const ValueRanges& ranges) {
  const auto found = ranges.find(node.name);
  const std::string where = "quantize: " + std::string(operator_name(node.op)) + " " + node.name;
  if (found == ranges.end()) throw InvariantError(where + ": no range, expected one");
  const ValueRange& range = found->second;
  if (!std::isfinite(range.low) || !std::isfinite(range.high) || range.low > range.high) {
    throw InvariantError(where + ": range = " + std::to_string(range.low) + " to " +
                         std::to_string(range.high) + ", expected finite numbers in order");
  }
  return range;
}

std::map<std::string, TensorScale> output_scales(const Network& network, const ValueRanges& ranges,
                                                 const std::vector<bool>& is_float) {
  const std::vector<size_t> groups = scale_groups(network);
  std::vector<ValueRange> shared(groups.size());  // all contain zero
  for (const Node& node : network.nodes()) {
    if (is_float[static_cast<size_t>(node.id)]) continue;
    const ValueRange range = range_of(node, ranges);
    ValueRange& whole = shared[groups[static_cast<size_t>(node.id)]];
    whole.low = std::min(whole.low, range.low);
    whole.high = std::max(whole.high, range.high);
  }
  std::map<std::string, TensorScale> scales;
  for (const Node& node : network.nodes()) {
    if (is_float[static_cast<size_t>(node.id)]) continue;
    scales[node.name] = scale_for(shared[groups[static_cast<size_t>(node.id)]]);
  }
  return scales;
}

/// The smallest scale of a channel at which its bias fits into 32 bits.
double smallest_scale(float bias, float input_scale) {
  return std::abs(double{bias}) / (double{input_scale} * kLargestBias);
}

std::vector<float> chosen_scales(const Model& model, const Node& node, float input_scale,
                                 const QuantizeOptions& options) {
  const Tensor& weight = model.weights.at(node.parameters[0].name);
  const bool biased = node.parameters.size() > 1;
  const Tensor* bias = biased ? &model.weights.at(node.parameters[1].name) : nullptr;
  const auto given = options.weight_scales.find(node.parameters[0].name);
  if (given == options.weight_scales.end()) {
    return weight_scales(weight, bias, input_scale, options.clipping);
  }
  if (static_cast<int64_t>(given->second.size()) != weight.shape[0]) {
    throw InvariantError("quantize: " + node.name +
                         ": given scales = " + std::to_string(given->second.size()) +
                         ", expected " + std::to_string(weight.shape[0]));
  }
  std::vector<float> scales = given->second;
  for (size_t c = 0; biased && c < scales.size(); ++c) {
    const double needed = smallest_scale(bias->values[c], input_scale);
    scales[c] = std::max(scales[c], static_cast<float>(needed));
  }
  return scales;
}

/// Gives a layer's weight and bias the values that their integers stand for.
void round_parameters(Model& model, const Node& node, float input_scale,
                      const std::vector<float>& scales) {
  Tensor& weight = model.weights.at(node.parameters[0].name);
  const std::vector<int8_t> integers = quantized_weight(weight, scales);
  const size_t per_channel = integers.size() / scales.size();
  for (size_t i = 0; i < integers.size(); ++i) {
    weight.values[i] = static_cast<float>(integers[i]) * scales[i / per_channel];
  }
  if (node.parameters.size() < 2) return;
  round_bias(model.weights.at(node.parameters[1].name), input_scale, scales);
}

void quantize_parameters(Model& model, const QuantizeOptions& options) {
  for (const Node& node : model.network.nodes()) {
    if (!is_layer(node.op) || options.float_layers.count(node.name) != 0) continue;
    const std::string& before = model.network.node(node.inputs[0]).name;
    const float input_scale = model.quantization->outputs.at(before).scale;
    const std::vector<float> scales = chosen_scales(model, node, input_scale, options);
    round_parameters(model, node, input_scale, scales);
    model.quantization->weights[node.parameters[0].name] = scales;
  }
}

/// The sum of squared errors of a channel's values at a scale.
double channel_error(const float* values, size_t count, double scale) {
  double error = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const double steps = std::nearbyint(double{values[i]} / scale);
    const double rounded = scale * std::min(std::max(steps, -kWeightSteps), kWeightSteps);
    error += (double{values[i]} - rounded) * (double{values[i]} - rounded);
  }
  return error;
}

/// Returns the best of the scales from `largest` down to a half of it.
double least_error_scale(const float* values, size_t count, double largest) {
  constexpr int kTried = 64;
  double best = largest;
  double least = channel_error(values, count, largest);
  for (int i = 1; i <= kTried; ++i) {
    const double scale = largest * (1.0 - 0.5 * i / kTried);
    const double error = channel_error(values, count, scale);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

/// Whether deploy() would return the same: it copies all weights.
bool is_deployed(const Network& network) {
  const std::vector<bool> needed = needed_nodes(network);
  for (const Node& node : network.nodes()) {
    if (!needed[static_cast<size_t>(node.id)]) return false;
    if (std::holds_alternative<BatchNorm>(node.op)) return false;
    if (std::holds_alternative<Activation>(node.op)) return false;
    if (node.parameters.empty()) continue;
    if (node.parameters[0].name != node.name + ".weight") return false;
  }
  return true;
}

}  // namespace

std::vector<size_t> scale_groups(const Network& network) {
  std::vector<size_t> group;
  for (const Node& node : network.nodes()) {
    group.push_back(group.size());
    if (!moves_values(node.op)) continue;
    for (const NodeId id : node.inputs) {
      const size_t from = group[static_cast<size_t>(id)];
      const size_t to = std::min(from, group.back());
      for (const size_t old : {from, group.back()})
        std::replace(group.begin(), group.end(), old, to);
    }
  }
  return group;
}

TensorScale scale_for(ValueRange range) {
  const double low = std::min(double{range.low}, 0.0);
  const double high = std::max(double{range.high}, 0.0);
  if (high - low < 1e-6) return {1.0F / 256.0F, 0};
  TensorScale result;
  result.scale = static_cast<float>((high - low) / kActivationSteps);
  const double zero = std::nearbyint(-128.0 - low / double{result.scale});
  result.zero_point = static_cast<int32_t>(std::min(std::max(zero, -128.0), 127.0));
  return result;
}

std::vector<bool> float_tensors(const Network& network, const std::set<std::string>& float_layers) {
  std::vector<bool> is_float(network.nodes().size(), false);
  if (float_layers.empty()) return is_float;
  std::set<std::string> unknown = float_layers;
  for (const Node& node : network.nodes()) {
    if (is_layer(node.op)) unknown.erase(node.name);
  }
  if (!unknown.empty()) {
    throw InvariantError("quantize: float layer = " + *unknown.begin() +
                         ", expected the name of a conv2d or linear node");
  }
  const std::vector<bool> computed = between_float_layers(network, float_layers);
  is_float = computed;
  for (const Node& node : network.nodes()) {
    if (computed[static_cast<size_t>(node.id)]) continue;
    for (const NodeId id : node.inputs) is_float[static_cast<size_t>(id)] = false;
  }
  // What shares a scale is float together or not at all.
  const std::vector<size_t> groups = scale_groups(network);
  std::vector<bool> whole(groups.size(), true);
  for (size_t i = 0; i < groups.size(); ++i) whole[groups[i]] = whole[groups[i]] && is_float[i];
  for (size_t i = 0; i < groups.size(); ++i) is_float[i] = whole[groups[i]];
  return is_float;
}

std::vector<float> weight_scales(const Tensor& weight, const Tensor* bias, float input_scale,
                                 WeightClipping clipping) {
  const auto channels = static_cast<size_t>(weight.shape[0]);
  const size_t per_channel = weight.values.size() / channels;
  std::vector<double> wanted(channels, 0.0);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    double& scale = wanted[i / per_channel];
    scale = std::max(scale, std::abs(double{weight.values[i]}) / kWeightSteps);
  }
  for (size_t c = 0; clipping == WeightClipping::Mse && c < channels; ++c) {
    const float* values = weight.values.data() + c * per_channel;
    if (wanted[c] > 0.0) wanted[c] = least_error_scale(values, per_channel, wanted[c]);
  }
  for (size_t c = 0; bias != nullptr && c < channels; ++c) {
    wanted[c] = std::max(wanted[c], smallest_scale(bias->values[c], input_scale));
  }
  const double largest = *std::max_element(wanted.begin(), wanted.end());
  const double smallest = largest > 0.0 ? std::max(largest / kScaleSpread, 1e-30) : 1.0 / 128.0;
  std::vector<float> scales;
  for (const double scale : wanted) scales.push_back(static_cast<float>(std::max(scale, smallest)));
  return scales;
}

Model quantizable(Model model) {
  model.quantization.reset();
  if (!is_deployed(model.network)) model = deploy(model);
  model.network = lift_activations(model.network);
  return model;
}

ValueRanges observe_ranges(const Model& model, const Tensor& images) {
  ValueRanges ranges;
  run_reference(model, images, [&ranges](const Node& node, const Tensor& output) {
    const auto [low, high] = std::minmax_element(output.values.begin(), output.values.end());
    ranges[node.name] = {*low, *high};
  });
  return ranges;
}

Model quantize(Model model, const ValueRanges& ranges, const QuantizeOptions& options) {
  check_weights(model.network, model.weights);
  model.quantization.emplace();
  const std::vector<bool> is_float = float_tensors(model.network, options.float_layers);
  model.quantization->outputs = output_scales(model.network, ranges, is_float);
  quantize_parameters(model, options);
  const std::string fault = quantization_fault(model);
  if (!fault.empty()) throw InvariantError("quantize: " + fault);
  return model;
}

Model quantize_nominally(Model model) {
  Model prepared = quantizable(std::move(model));
  ValueRanges ranges;
  for (const Node& node : prepared.network.nodes()) ranges[node.name] = {-4.0F, 4.0F};
  return quantize(std::move(prepared), ranges);
}

}  // namespace lathe::network
