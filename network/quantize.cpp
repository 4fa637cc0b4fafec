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

/// Returns for every node the first node of those that share a scale with it.
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

/// Zero is always exact: padding needs it, and relu's clamp lies there.
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

std::map<std::string, TensorScale> output_scales(const Network& network,
                                                 const ValueRanges& ranges) {
  const std::vector<size_t> groups = scale_groups(network);
  std::vector<ValueRange> shared(groups.size());  // all contain zero
  for (const Node& node : network.nodes()) {
    const ValueRange range = range_of(node, ranges);
    ValueRange& whole = shared[groups[static_cast<size_t>(node.id)]];
    whole.low = std::min(whole.low, range.low);
    whole.high = std::max(whole.high, range.high);
  }
  std::map<std::string, TensorScale> scales;
  for (const Node& node : network.nodes()) {
    scales[node.name] = scale_for(shared[groups[static_cast<size_t>(node.id)]]);
  }
  return scales;
}

void quantize_parameters(Model& model) {
  for (const Node& node : model.network.nodes()) {
    if (!std::holds_alternative<Conv2d>(node.op) && !std::holds_alternative<Linear>(node.op))
      continue;
    const std::string& before = model.network.node(node.inputs[0]).name;
    const float input_scale = model.quantization->outputs.at(before).scale;
    Tensor& weight = model.weights.at(node.parameters[0].name);
    Tensor* bias =
        node.parameters.size() > 1 ? &model.weights.at(node.parameters[1].name) : nullptr;
    const std::vector<float> scales = weight_scales(weight, bias, input_scale);
    const std::vector<int8_t> integers = quantized_weight(weight, scales);
    const size_t per_channel = integers.size() / scales.size();
    for (size_t i = 0; i < integers.size(); ++i) {
      weight.values[i] = static_cast<float>(integers[i]) * scales[i / per_channel];
    }
    if (bias != nullptr) {
      const std::vector<int32_t> steps = quantized_bias(*bias, input_scale, scales);
      for (size_t c = 0; c < steps.size(); ++c) {
        bias->values[c] =
            static_cast<float>(double{input_scale} * double{scales[c]} * double(steps[c]));
      }
    }
    model.quantization->weights[node.parameters[0].name] = scales;
  }
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

std::vector<float> weight_scales(const Tensor& weight, const Tensor* bias, float input_scale) {
  const auto channels = static_cast<size_t>(weight.shape[0]);
  const size_t per_channel = weight.values.size() / channels;
  std::vector<double> wanted(channels, 0.0);
  for (size_t i = 0; i < weight.values.size(); ++i) {
    double& scale = wanted[i / per_channel];
    scale = std::max(scale, std::abs(double{weight.values[i]}) / kWeightSteps);
  }
  for (size_t c = 0; bias != nullptr && c < channels; ++c) {
    const double needed = std::abs(double{bias->values[c]}) / (double{input_scale} * kLargestBias);
    wanted[c] = std::max(wanted[c], needed);
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

Model quantize(Model model, const ValueRanges& ranges) {
  check_weights(model.network, model.weights);
  model.quantization.emplace();
  model.quantization->outputs = output_scales(model.network, ranges);
  quantize_parameters(model);
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
