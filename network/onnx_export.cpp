#include <onnx/onnx_pb.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "network/onnx.h"
#include "network/onnx_attributes.h"
#include "network/onnx_parameters.h"
#include "network/onnx_quantized_writer.h"
#include "network/passes.h"

namespace lathe::network {

using onnx_writer::add_integer;
using onnx_writer::add_integers;
using onnx_writer::add_real;
using onnx_writer::add_text;

namespace {

constexpr int64_t kOpset = 17;
constexpr int64_t kIrVersion = 8;
/// A protobuf message cannot be larger than 2 GiB; some room is left for the graph.
constexpr int64_t kMaxWeightBytes = int64_t{2000} << 20;

/// Writes one Network as a GraphProto. Every IR node keeps its name as NodeProto::name; extra nodes
/// are called "name/part", and an activation fused into its operator "name/activation", so that
/// import_onnx finds the same network.
class GraphWriter {
 public:
  GraphWriter(const Network& network, const Quantization* quantization, onnx::GraphProto& graph,
              bool dynamic_batch)
      : network_(network),
        quantization_(quantization),
        graph_(graph),
        dynamic_batch_(dynamic_batch) {
    for (const Node& node : network.nodes()) {
      for (const Parameter& parameter : node.parameters) used_names_.insert(parameter.name);
    }
    input_name_ = unique_name(network.node(network.input()).name);
    output_name_ = unique_name("logits");
  }

  /// Writes the parameters that are integers and how they become floats.
  void write_quantized_parameters(const Weights& weights) {
    for (const Node& node : network_.nodes()) {
      if (node.parameters.empty()) continue;
      const auto scales = quantization_->weights.find(node.parameters[0].name);
      if (scales == quantization_->weights.end()) continue;
      const std::string& before = network_.node(node.inputs[0]).name;
      const float input_scale = quantization_->outputs.at(before).scale;
      const Shape channels = {static_cast<int64_t>(scales->second.size())};
      const std::string& weight = node.parameters[0].name;
      write_quantized_weight(graph_, quantized_names(weight, onnx::TensorProto::INT8, channels),
                             weights.at(weight), scales->second);
      if (node.parameters.size() < 2) continue;
      const std::string& bias = node.parameters[1].name;
      write_quantized_bias(graph_, quantized_names(bias, onnx::TensorProto::INT32, channels),
                           weights.at(bias), input_scale, scales->second);
    }
  }

  void write() {
    onnx::ValueInfoProto& image = *graph_.add_input();
    image.set_name(input_name_);
    write_shape(image, network_.input_shape());
    for (const Node& node : network_.nodes()) {
      node_ = &node;
      std::visit([this](const auto& op) { this->emit(op); }, node.op);
      if (has_integers(node)) quantize_output();
    }
    const Node& result = network_.node(network_.output());
    onnx::ValueInfoProto& output = *graph_.add_output();
    output.set_name(values_[static_cast<size_t>(result.id)]);
    write_shape(output, result.shape);
  }

 private:
  // The operators.

  void emit(const Input&) {
    const bool is_result = network_.output() == node_->id && !has_integers(*node_);
    values_.push_back(input_name_);
    if (is_result) values_.back() = append("Identity", node_->name, {values_.back()}, output_name_);
  }

  void emit(const Conv2d& op) {
    const std::string out = begin_fused(op.activation);
    onnx::NodeProto& conv = append_node("Conv", node_->name, with_parameters(), out);
    add_integers(conv, "kernel_shape", {op.kernel, op.kernel});
    add_integers(conv, "strides", {op.stride, op.stride});
    add_integers(conv, "pads", {op.padding, op.padding, op.padding, op.padding});
    add_integers(conv, "dilations", {1, 1});
    add_integer(conv, "group", op.groups);
    end_fused(op.activation, out);
  }

  void emit(const BatchNorm& op) {
    onnx::NodeProto& norm =
        append_node("BatchNormalization", node_->name, with_parameters(), out());
    add_real(norm, "epsilon", op.epsilon);
  }

  void emit(const Activation& op) { write_activation(op.kind, node_->name, input(0), out()); }

  void emit(const Add& op) {
    const std::string sum = begin_fused(op.activation);
    append("Add", node_->name, {input(0), input(1)}, sum);
    end_fused(op.activation, sum);
  }

  void emit(const Multiply&) { append("Mul", node_->name, {input(0), input(1)}, out()); }

  void emit(const Concat&) {
    onnx::NodeProto& concat = append_node("Concat", node_->name, all_inputs(), out());
    add_integer(concat, "axis", 1);
  }

  void emit(const ChannelSlice& op) {
    const std::vector<std::string> inputs = {input(0), constant("starts", {op.begin}),
                                             constant("ends", {op.end}), constant("axes", {1})};
    append("Slice", node_->name, inputs, out());
  }

  void emit(const ChannelShuffle& op) {
    const Shape& shape = node_->shape;
    const std::string& name = node_->name;
    const std::string split = unique_name(name + "/split");
    const std::string swapped = unique_name(name + "/swapped");
    const std::string groups =
        constant("groups", {0, op.groups, shape[1] / op.groups, shape[2], shape[3]});
    append("Reshape", name + "/split", {input(0), groups}, split);
    onnx::NodeProto& swap = append_node("Transpose", name + "/swap", {split}, swapped);
    add_integers(swap, "perm", {0, 2, 1, 3, 4});
    const std::string joined = constant("channels", {0, shape[1], shape[2], shape[3]});
    append("Reshape", name, {swapped, joined}, out());
  }

  void emit(const MaxPool& op) { write_pool("MaxPool", {op.kernel, op.stride, op.padding}); }
  void emit(const AveragePool& op) {
    add_integer(write_pool("AveragePool", {op.kernel, op.stride, op.padding}), "count_include_pad",
                0);
  }

  void emit(const GlobalAveragePool&) {
    append("GlobalAveragePool", node_->name, {input(0)}, out());
  }

  void emit(const Flatten&) {
    add_integer(append_node("Flatten", node_->name, {input(0)}, out()), "axis", 1);
  }

  void emit(const Linear& op) {
    const std::string product = begin_fused(op.activation);
    add_integer(append_node("Gemm", node_->name, with_parameters(), product), "transB", 1);
    end_fused(op.activation, product);
  }

  void emit(const Resize& op) {
    const Shape& from = network_.node(node_->inputs[0]).shape;
    std::vector<std::string> inputs = {input(0), ""};
    if (dynamic_batch_) {
      inputs.push_back(scales({1.0F, 1.0F, scale(from[2], op.height), scale(from[3], op.width)}));
    } else {
      inputs.emplace_back();
      inputs.push_back(constant("sizes", {1, from[1], op.height, op.width}));
    }
    onnx::NodeProto& resize = append_node("Resize", node_->name, inputs, out());
    add_text(resize, "mode", "linear");
    add_text(resize, "coordinate_transformation_mode", "half_pixel");
  }

  // Integers.

  bool has_integers(const Node& node) const {
    return quantization_ != nullptr && quantization_->outputs.count(node.name) != 0;
  }

  /// What only the rounding needs has short names, and equal zero points are one tensor: in a small
  /// network they would be half of the file.
  QuantizedNames quantized_names(const std::string& value, int type, const Shape& shape,
                                 int32_t zero_point = 0) {
    const std::string number = std::to_string(++quantized_values_);
    std::string& zero = zero_points_[{type, shape, zero_point}];
    if (zero.empty()) {
      zero = unique_name("z" + number);
      write_zero_points(graph_, zero, type, shape, zero_point);
    }
    return {value, unique_name("q" + number), unique_name("s" + number), zero};
  }

  /// Passes the current node's value through its integers.
  void quantize_output() {
    std::string& value = values_[static_cast<size_t>(node_->id)];
    const bool is_result = network_.output() == node_->id;
    const TensorScale& scale = quantization_->outputs.at(node_->name);
    QuantizedNames names =
        quantized_names(node_->name, onnx::TensorProto::INT8, {}, scale.zero_point);
    names.value = is_result ? output_name_ : unique_name(node_->name + "/rounded");
    write_quantized_value(graph_, names, value, scale);
    value = names.value;
  }

  // Activations.

  /// Returns the name of an operator's result before its fused activation.
  std::string begin_fused(ActivationKind kind) {
    return kind == ActivationKind::Identity ? out() : unique_name(node_->name + "/linear");
  }
  void end_fused(ActivationKind kind, const std::string& linear) {
    if (kind == ActivationKind::Identity) return;
    write_activation(kind, node_->name + "/activation", linear, out());
  }

  void write_activation(ActivationKind kind, const std::string& name, const std::string& from,
                        const std::string& to) {
    switch (kind) {
      case ActivationKind::Identity:
        append("Identity", name, {from}, to);
        return;
      case ActivationKind::Relu:
        append("Relu", name, {from}, to);
        return;
      case ActivationKind::Relu6:
        append("Clip", name,
               {from, bound(relu6_low_, "low", 0.0F), bound(relu6_high_, "high", 6.0F)}, to);
        return;
      case ActivationKind::HardSwish:
        append("HardSwish", name, {from}, to);
        return;
      case ActivationKind::Swish: {
        const std::string gate = unique_name(name + "/sigmoid");
        append("Sigmoid", name + "/sigmoid", {from}, gate);
        append("Mul", name, {from, gate}, to);
        return;
      }
      case ActivationKind::HardSigmoid: {
        onnx::NodeProto& node = append_node("HardSigmoid", name, {from}, to);
        add_real(node, "alpha", 1.0 / 6.0);
        add_real(node, "beta", 0.5);
        return;
      }
      case ActivationKind::Sigmoid:
        append("Sigmoid", name, {from}, to);
        return;
      case ActivationKind::NegatedRelu: {
        const std::string negated = unique_name(name + "/negated");
        append("Neg", name + "/negated", {from}, negated);
        append("Relu", name, {negated}, to);
        return;
      }
    }
  }

  // Parts of nodes.

  onnx::NodeProto& write_pool(const char* type, const Shape& window) {
    onnx::NodeProto& pool = append_node(type, node_->name, {input(0)}, out());
    add_integers(pool, "kernel_shape", {window[0], window[0]});
    add_integers(pool, "strides", {window[1], window[1]});
    add_integers(pool, "pads", Shape(4, window[2]));
    return pool;
  }

  onnx::NodeProto& append_node(const char* type, const std::string& name,
                               const std::vector<std::string>& inputs, const std::string& output) {
    onnx::NodeProto& node = *graph_.add_node();
    node.set_op_type(type);
    node.set_name(name);
    for (const std::string& each : inputs) node.add_input(each);
    node.add_output(output);
    return node;
  }
  std::string append(const char* type, const std::string& name,
                     const std::vector<std::string>& inputs, const std::string& output) {
    append_node(type, name, inputs, output);
    return output;
  }

  /// Names the current node's output value.
  const std::string& out() {
    if (values_.size() <= static_cast<size_t>(node_->id)) {
      const bool is_result = network_.output() == node_->id && !has_integers(*node_);
      values_.push_back(is_result ? output_name_ : unique_name(node_->name));
    }
    return values_[static_cast<size_t>(node_->id)];
  }
  const std::string& input(size_t index) const {
    return values_[static_cast<size_t>(node_->inputs[index])];
  }
  std::vector<std::string> all_inputs() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < node_->inputs.size(); ++i) names.push_back(input(i));
    return names;
  }
  std::vector<std::string> with_parameters() const {
    std::vector<std::string> names = all_inputs();
    for (const Parameter& parameter : node_->parameters) names.push_back(parameter.name);
    return names;
  }

  std::string unique_name(std::string name) {
    while (!used_names_.insert(name).second) name += "_";
    return name;
  }

  // Constants.

  /// Adds an int64 vector that belongs to the current node.
  std::string constant(const char* role, const Shape& values) {
    onnx::TensorProto& tensor = *graph_.add_initializer();
    tensor.set_name(unique_name(node_->name + "/" + role));
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<int64_t>(values.size()));
    for (const int64_t value : values) tensor.add_int64_data(value);
    return tensor.name();
  }
  std::string scales(const std::vector<float>& values) {
    onnx::TensorProto& tensor = *graph_.add_initializer();
    tensor.set_name(unique_name(node_->name + "/scales"));
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_dims(static_cast<int64_t>(values.size()));
    for (const float value : values) tensor.add_float_data(value);
    return tensor.name();
  }
  /// Returns the name of one of the two scalars that all relu6 share.
  const std::string& bound(std::string& name, const char* side, float value) {
    if (name.empty()) {
      name = unique_name(std::string("relu6/") + side);
      onnx::TensorProto& tensor = *graph_.add_initializer();
      tensor.set_name(name);
      tensor.set_data_type(onnx::TensorProto::FLOAT);
      tensor.add_float_data(value);  // no dimension: a scalar has shape ()
    }
    return name;
  }
  /// The scale by which ONNX's floor(size * scale) is exactly `to`, whether it is computed in float
  /// or in double.
  static float scale(int64_t from, int64_t to) {
    float value = static_cast<float>(to) / static_cast<float>(from);
    while (static_cast<double>(from) * double{value} < static_cast<double>(to)) {
      value = std::nextafter(value, 2.0F * value);
    }
    return value;
  }

  void write_shape(onnx::ValueInfoProto& value, const Shape& shape) const {
    auto& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx::TensorProto::FLOAT);
    auto& dims = *tensor.mutable_shape();
    for (size_t i = 0; i < shape.size(); ++i) {
      auto& dimension = *dims.add_dim();
      if (i == 0 && dynamic_batch_) {
        dimension.set_dim_param("N");
      } else {
        dimension.set_dim_value(shape[i]);
      }
    }
  }

  const Network& network_;
  const Quantization* quantization_;  ///< null: a float model
  onnx::GraphProto& graph_;
  bool dynamic_batch_;
  const Node* node_ = nullptr;       ///< being written
  std::vector<std::string> values_;  ///< by NodeId
  std::set<std::string> used_names_;
  int64_t quantized_values_ = 0;
  /// By type of onnx::TensorProto, shape and value.
  std::map<std::tuple<int, Shape, int32_t>, std::string> zero_points_;
  std::string input_name_;
  std::string output_name_;
  std::string relu6_low_;
  std::string relu6_high_;
};

std::string write_model(const Network& whole, const Weights* weights, uint64_t seed,
                        const Quantization* quantization, const OnnxExportOptions& options) {
  const Network network = drop_unused(whole);
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("lathe");
  onnx::OperatorSetIdProto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(kOpset);
  for (const auto& [key, value] : options.metadata) {
    onnx::StringStringEntryProto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name(options.graph_name);
  write_parameters(network, weights, seed, quantization, graph);
  GraphWriter writer(network, quantization, graph, options.dynamic_batch);
  if (quantization != nullptr) writer.write_quantized_parameters(*weights);
  writer.write();
  std::string bytes;
  if (!model.SerializeToString(&bytes)) {
    throw InvariantError("onnx " + options.graph_name + ": the model cannot be serialised");
  }
  return bytes;
}

}  // namespace

std::string to_onnx(const Model& model, const OnnxExportOptions& options) {
  check_weights(model.network, model.weights);
  int64_t bytes = 0;
  for (const auto& [name, tensor] : model.weights) {
    bytes += static_cast<int64_t>(tensor.values.size() * sizeof(float));
  }
  if (bytes > kMaxWeightBytes) {
    throw DataError("onnx " + options.graph_name + ": " + std::to_string(bytes) +
                    " bytes of weights, expected at most " + std::to_string(kMaxWeightBytes));
  }
  if (!model.quantization) return write_model(model.network, &model.weights, 0, nullptr, options);
  const std::string fault = quantization_fault(model);
  if (!fault.empty()) throw InvariantError("onnx " + options.graph_name + ": " + fault);
  return write_model(model.network, &model.weights, 0, &*model.quantization, options);
}

std::string to_onnx_without_weights(const Network& network, uint64_t seed) {
  return write_model(network, nullptr, seed, nullptr, {});
}

}  // namespace lathe::network
