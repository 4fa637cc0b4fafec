#include "network/quantization.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "network/network.h"
#include "network/passes.h"

namespace lathe::network {
namespace {

/// Subnormal scales have no reciprocal, and XNNPACK refuses them.
bool is_scale(float scale) { return std::isnormal(scale) && scale > 0.0F; }

bool clamps(ActivationKind kind) {
  return kind == ActivationKind::Identity || kind == ActivationKind::Relu ||
         kind == ActivationKind::Relu6;
}

ActivationKind fused_activation(const Operator& op) {
  if (const auto* conv = std::get_if<Conv2d>(&op)) return conv->activation;
  if (const auto* linear = std::get_if<Linear>(&op)) return linear->activation;
  if (const auto* add = std::get_if<Add>(&op)) return add->activation;
  return ActivationKind::Identity;
}

bool is_layer(const Node& node) {
  return std::holds_alternative<Conv2d>(node.op) || std::holds_alternative<Linear>(node.op);
}

bool has_integers(const Quantization& quantization, const Node& node) {
  return quantization.outputs.count(node.name) != 0;
}

std::string scale_fault(const Node& node, const Quantization& quantization) {
  const auto output = quantization.outputs.find(node.name);
  if (output == quantization.outputs.end()) return "";
  if (!is_scale(output->second.scale)) {
    return "scale = " + std::to_string(output->second.scale) + ", expected a positive number";
  }
  const int32_t zero = output->second.zero_point;
  if (zero < -128 || zero > 127) {
    return "zero point = " + std::to_string(zero) + ", expected -128 to 127";
  }
  return "";
}

std::string activation_fault(const Node& node) {
  const ActivationKind kind = fused_activation(node.op);
  if (clamps(kind)) return "";
  return std::string("activation ") + to_string(kind) +
         " is part of it, expected a node of its own with a quantised input";
}

std::string weight_fault(const Node& node, const Quantization& quantization) {
  const Parameter& weight = node.parameters[0];
  const auto scales = quantization.weights.find(weight.name);
  if (static_cast<int64_t>(scales->second.size()) != weight.shape[0]) {
    return "weight " + weight.name + " has " + std::to_string(scales->second.size()) +
           " scales, expected " + std::to_string(weight.shape[0]);
  }
  for (const float scale : scales->second) {
    if (!is_scale(scale)) {
      return "weight " + weight.name + ": scale = " + std::to_string(scale) +
             ", expected a positive number";
    }
  }
  return "";
}

/// What keeps a node from computing in integers as it should.
std::string integer_fault(const Network& network, const Node& node,
                          const Quantization& quantization) {
  if (!computes_in_integers(network, quantization, node)) return "";
  if (!is_layer(node)) return activation_fault(node);
  if (!has_integers(quantization, node)) return "its output is not quantised";
  const Node& before = network.node(node.inputs[0]);
  if (!has_integers(quantization, before)) return "its input " + before.name + " is not quantised";
  const std::string fault = activation_fault(node);
  return fault.empty() ? weight_fault(node, quantization) : fault;
}

}  // namespace

int8_t TensorScale::quantize(float value) const {
  const float steps = std::nearbyint(value / scale) + static_cast<float>(zero_point);
  return static_cast<int8_t>(std::min(std::max(steps, -128.0F), 127.0F));
}

float TensorScale::dequantize(int8_t value) const {
  return scale * static_cast<float>(value - zero_point);
}

bool computes_in_integers(const Network& network, const Quantization& quantization,
                          const Node& node) {
  if (is_layer(node)) return quantization.weights.count(node.parameters[0].name) != 0;
  return has_integers(quantization, node) &&
         std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](NodeId id) { return has_integers(quantization, network.node(id)); });
}

std::vector<std::string> float_nodes(const Network& network, const Quantization& quantization) {
  const std::vector<bool> needed = needed_nodes(network);
  std::vector<std::string> names;
  for (const Node& node : network.nodes()) {
    if (!needed[static_cast<size_t>(node.id)]) continue;
    if (!computes_in_integers(network, quantization, node)) names.push_back(node.name);
  }
  return names;
}

std::string quantization_fault(const Model& model) {
  if (!model.quantization) return "the model is not quantised";
  const std::vector<bool> needed = needed_nodes(model.network);
  for (const Node& node : model.network.nodes()) {
    if (!needed[static_cast<size_t>(node.id)]) continue;
    std::string fault = scale_fault(node, *model.quantization);
    if (fault.empty()) fault = integer_fault(model.network, node, *model.quantization);
    if (!fault.empty()) return std::string(operator_name(node.op)) + " " + node.name + ": " + fault;
  }
  return "";
}

std::vector<int8_t> quantized_weight(const Tensor& weight, const std::vector<float>& scales) {
  const size_t per_channel = weight.values.size() / scales.size();
  std::vector<int8_t> integers;
  integers.reserve(weight.values.size());
  for (size_t i = 0; i < weight.values.size(); ++i) {
    const float steps = std::nearbyint(weight.values[i] / scales[i / per_channel]);
    integers.push_back(static_cast<int8_t>(std::min(std::max(steps, -127.0F), 127.0F)));
  }
  return integers;
}

std::vector<int32_t> quantized_bias(const Tensor& bias, float input_scale,
                                    const std::vector<float>& scales) {
  std::vector<int32_t> integers;
  for (size_t i = 0; i < bias.values.size(); ++i) {
    const double steps =
        std::nearbyint(double{bias.values[i]} / (double{input_scale} * double{scales[i]}));
    const double limit = std::numeric_limits<int32_t>::max();
    integers.push_back(static_cast<int32_t>(std::min(std::max(steps, -limit), limit)));
  }
  return integers;
}

void round_bias(Tensor& bias, float input_scale, const std::vector<float>& scales) {
  const std::vector<int32_t> steps = quantized_bias(bias, input_scale, scales);
  for (size_t c = 0; c < steps.size(); ++c) {
    const double step = double{input_scale} * double{scales[c]};
    bias.values[c] = static_cast<float>(step * double(steps[c]));
  }
}

}  // namespace lathe::network
