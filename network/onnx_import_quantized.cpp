#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "network/onnx_importer.h"

namespace lathe::network {

using onnx_reader::Attributes;
using onnx_reader::fail;
using onnx_reader::printable;
using onnx_reader::type_name;

namespace {

constexpr int64_t kMaxChannels = 1 << 20;
constexpr double kScaleTolerance = 1e-4;
/// uint8 activations are int8 ones, shifted.
constexpr int32_t kUnsignedShift = 128;

std::string to_text(const TensorScale& scale) {
  return "scale = " + std::to_string(scale.scale) +
         ", zero point = " + std::to_string(scale.zero_point);
}

bool keeps_scale(const Operator& op) {
  return std::holds_alternative<ChannelSlice>(op) || std::holds_alternative<ChannelShuffle>(op) ||
         std::holds_alternative<MaxPool>(op) || std::holds_alternative<Flatten>(op);
}

}  // namespace

std::vector<float> OnnxImporter::positive_scales(const Node& node) const {
  const onnx::TensorProto& tensor = required_constant(node, 1);
  const Tensor scales = onnx_reader::read_floats(tensor, kMaxChannels);
  if (scales.shape.size() > 1) {
    fail(node, "scale " + to_string(scales.shape) + ", expected one number or one a channel");
  }
  for (const float scale : scales.values) {
    if (!std::isnormal(scale) || scale < 0.0F) {
      fail(node, "scale = " + std::to_string(scale) + ", expected a positive number");
    }
  }
  return scales.values;
}

/// The one scale of an activation.
TensorScale OnnxImporter::tensor_scale(const Node& node) const {
  const std::vector<float> scales = positive_scales(node);
  if (scales.size() != 1) {
    fail(node, std::to_string(scales.size()) + " scales, expected one for the whole tensor");
  }
  TensorScale result{scales[0], -kUnsignedShift};
  const onnx::TensorProto* zero = constant_input(node, 2);
  if (zero == nullptr) return result;  // uint8 and 0
  const bool is_signed = zero->data_type() == onnx::TensorProto::INT8;
  if (!is_signed && zero->data_type() != onnx::TensorProto::UINT8) {
    fail(node, "zero point of type " + type_name(zero->data_type()) + ", expected INT8 or UINT8");
  }
  std::vector<int32_t> values;
  onnx_reader::read_quantized(*zero, kMaxChannels,
                              [&values](int32_t value) { values.push_back(value); });
  if (values.size() != 1) {
    fail(node, std::to_string(values.size()) + " zero points, expected one");
  }
  result.zero_point = is_signed ? values[0] : values[0] - kUnsignedShift;
  return result;
}

void OnnxImporter::read_quantize(const Node& node) {
  const NodeId id = tensor_input(node, 0);
  require_outputs(node, 1);
  Attributes attributes(node);
  attributes.ignore("axis");  // of scales for channels, which are refused
  attributes.finish();
  const TensorScale scale = tensor_scale(node);
  const auto [known, added] = output_scales_.emplace(id, scale);
  if (!added && known->second != scale) {
    fail(node,
         to_text(scale) + ", but the tensor was quantised before with " + to_text(known->second));
  }
  define(node, node.output(0));
  quantized_[node.output(0)] = {id, scale};
}

void OnnxImporter::read_dequantize(const Node& node) {
  require_outputs(node, 1);
  Attributes attributes(node);
  const int64_t axis = attributes.integer("axis", 1);
  attributes.finish();
  if (node.input_size() > 0 && is_constant(node.input(0))) {
    return read_dequantized_constant(node, axis);
  }
  const std::string name = node.input_size() > 0 ? node.input(0) : "";
  const auto found = quantized_.find(name);
  if (found == quantized_.end()) {
    fail(node, "input " + printable(name) + ", expected a constant or what QuantizeLinear makes");
  }
  const TensorScale scale = tensor_scale(node);
  if (scale != found->second.scale) {
    fail(node, to_text(scale) + ", expected QuantizeLinear's " + to_text(found->second.scale));
  }
  rounded_.insert(node.output(0));
  set_tensor(node, found->second.id);
}

/// What is quantised must not be read as it was before, under another name of it either.
void OnnxImporter::check_float_readers() const {
  std::set<std::string> unrounded;
  for (const auto& [id, scale] : output_scales_) {
    for (const std::string& name : names_.at(id)) {
      if (rounded_.count(name) == 0) unrounded.insert(name);
    }
  }
  for (const Node& node : graph_.node()) {
    if (node.op_type() == "QuantizeLinear" || aliases_.count(&node) != 0) continue;
    for (const std::string& name : node.input()) {
      if (unrounded.count(name) != 0) {
        fail(node, "input " + printable(name) + " is quantised elsewhere and read in float here");
      }
    }
  }
  for (const onnx::ValueInfoProto& output : graph_.output()) {
    if (unrounded.count(output.name()) == 0) continue;
    throw DataError("onnx: the output " + printable(output.name()) + " is quantised elsewhere");
  }
}

/// Defines a constant whose values are read when a layer takes it as its weight or bias.
void OnnxImporter::read_dequantized_constant(const Node& node, int64_t axis) {
  const onnx::TensorProto& integers = required_constant(node, 0);
  const bool bias = integers.data_type() == onnx::TensorProto::INT32;
  if (!bias && integers.data_type() != onnx::TensorProto::INT8) {
    fail(node, "constant of type " + type_name(integers.data_type()) +
                   ", expected INT8 (a weight) or INT32 (a bias)");
  }
  Dequantized made{&integers, positive_scales(node), axis};
  const Shape shape = onnx_reader::tensor_shape(integers, limits_.max_parameters);
  if (made.axis < 0) made.axis += static_cast<int64_t>(shape.size());
  if (made.scales.size() == 1) made.axis = 0;
  const bool has_axis = made.axis >= 0 && made.axis < static_cast<int64_t>(shape.size());
  const int64_t channels = has_axis ? shape[static_cast<size_t>(made.axis)] : 0;
  if (made.scales.size() != 1 && static_cast<int64_t>(made.scales.size()) != channels) {
    fail(node, std::to_string(made.scales.size()) + " scales along axis " + std::to_string(axis) +
                   " of " + to_string(shape));
  }
  if (const onnx::TensorProto* zero = constant_input(node, 2)) {
    onnx_reader::read_quantized(*zero, kMaxChannels, [&node](int32_t value) {
      if (value == 0) return;
      fail(node, "zero point = " + std::to_string(value) + ", expected 0 for a weight or bias");
    });
  }
  // Stands for the floats: it has their name and shape, and no values.
  owned_.push_back(std::make_unique<onnx::TensorProto>());
  onnx::TensorProto& floats = *owned_.back();
  floats.set_name(node.output(0));
  floats.set_data_type(integers.data_type());
  for (const int64_t dimension : shape) floats.add_dims(dimension);
  dequantized_[&floats] = std::move(made);
  set_constant(node, &floats);
}

const OnnxImporter::Dequantized* OnnxImporter::dequantized(
    const onnx::TensorProto* constant) const {
  const auto found = dequantized_.find(constant);
  return found == dequantized_.end() ? nullptr : &found->second;
}

Tensor OnnxImporter::dequantized_values(const Node& node, const Dequantized& constant) const {
  Tensor result{onnx_reader::tensor_shape(*constant.integers, limits_.max_parameters), {}};
  size_t inner = 1;
  for (size_t i = static_cast<size_t>(constant.axis) + 1; i < result.shape.size(); ++i) {
    inner *= static_cast<size_t>(result.shape[i]);
  }
  const bool bias = constant.integers->data_type() == onnx::TensorProto::INT32;
  result.values.reserve(static_cast<size_t>(element_count(result.shape)));
  onnx_reader::read_quantized(*constant.integers, limits_.max_parameters, [&](int32_t integer) {
    if (!bias && integer == -128) {
      fail(node, "tensor " + printable(constant.integers->name()) +
                     ": value -128, expected -127 to 127 for a symmetric weight");
    }
    const double scale{constant.scales[result.values.size() / inner % constant.scales.size()]};
    const auto value = static_cast<float>(scale * static_cast<double>(integer));
    if (!std::isfinite(value)) fail(node, "scale = " + std::to_string(scale) + " is too large");
    result.values.push_back(value);
  });
  return result;
}

void OnnxImporter::set_parameter_scales(const Node& node, NodeId id,
                                        const std::vector<Source>& sources) {
  const Parameter& weight = network_.node(id).parameters[0];
  const Dequantized* integers = dequantized(sources[0].tensor);
  const std::string shown = printable(sources[0].tensor->name());
  if (integers == nullptr) return check_float_bias(node, sources);
  if (integers->integers->data_type() != onnx::TensorProto::INT8) {
    fail(node, "weight " + shown + " is of type " + type_name(sources[0].tensor->data_type()) +
                   ", expected INT8 behind DequantizeLinear");
  }
  std::vector<float> scales = integers->scales;
  if (scales.size() > 1 && integers->axis != sources[0].channel_axis) {
    fail(node, "weight " + shown + " has scales along axis " + std::to_string(integers->axis) +
                   ", expected " + std::to_string(sources[0].channel_axis));
  }
  scales.resize(static_cast<size_t>(weight.shape[0]), scales[0]);
  weight_scales_[weight.name] = std::move(scales);
  if (sources.size() > 1) set_bias_scales(node, id, sources);
}

/// A layer with a float weight is a float island; a bias of integers would mean something else.
void OnnxImporter::check_float_bias(const Node& node, const std::vector<Source>& sources) const {
  if (sources.size() < 2 || dequantized(sources[1].tensor) == nullptr) return;
  fail(node, "bias " + printable(sources[1].tensor->name()) +
                 " is INT32 behind DequantizeLinear, but weight " +
                 printable(sources[0].tensor->name()) + " is of type " +
                 type_name(sources[0].tensor->data_type()));
}

void OnnxImporter::set_bias_scales(const Node& node, NodeId id,
                                   const std::vector<Source>& sources) {
  const Dequantized* integers = dequantized(sources[1].tensor);
  if (integers == nullptr || integers->integers->data_type() != onnx::TensorProto::INT32) {
    fail(node, "bias " + printable(sources[1].tensor->name()) + " is of type " +
                   type_name(sources[1].tensor->data_type()) +
                   ", expected INT32 behind DequantizeLinear");
  }
  std::vector<float> scales = integers->scales;
  scales.resize(static_cast<size_t>(network_.node(id).parameters[0].shape[0]), scales[0]);
  bias_scales_[id] = {std::move(scales), &node};
}

/// Biases are added to the sums of products, so they must be at the same scale.
void OnnxImporter::check_bias_scales() const {
  for (const auto& [id, found] : bias_scales_) {
    const auto& [scales, node] = found;
    const auto input = output_scales_.find(network_.node(id).inputs[0]);
    if (input == output_scales_.end()) continue;  // told by quantization_fault
    const std::vector<float>& weight = weight_scales_.at(network_.node(id).parameters[0].name);
    for (size_t i = 0; i < scales.size(); ++i) {
      const double expected = double{input->second.scale} * double{weight[i]};
      if (std::abs(double{scales[i]} - expected) <= kScaleTolerance * expected) continue;
      char text[96];
      std::snprintf(text, sizeof text, "bias scale = %.6g at channel %zu, expected %.6g",
                    double{scales[i]}, i, expected);
      fail(*node, std::string(text) + " (the input's times the weight's)");
    }
  }
}

void OnnxImporter::finish_quantization() {
  if (!is_quantized_) return;
  for (const network::Node& node : network_.nodes()) {
    if (output_scales_.count(node.id) != 0 || !keeps_scale(node.op)) continue;
    const auto input = output_scales_.find(node.inputs[0]);
    if (input != output_scales_.end()) output_scales_.emplace(node.id, input->second);
  }
  check_bias_scales();
}

}  // namespace lathe::network
