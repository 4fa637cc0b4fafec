#include <onnx/onnx_pb.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "network/onnx_importer.h"
#include "network/onnx_wire.h"

namespace lathe::network {
namespace {

using onnx_reader::fail;
using onnx_reader::printable;

constexpr int64_t kMinOpset = 9;
constexpr int64_t kMaxOpset = 21;
constexpr int64_t kMinIrVersion = 3;
constexpr int64_t kMaxIrVersion = 10;

bool is_default_domain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

/// \throws DataError if the model was written for rules that lathe does not know.
void check_header(const onnx::ModelProto& model) {
  if (model.ir_version() < kMinIrVersion || model.ir_version() > kMaxIrVersion) {
    throw DataError("onnx: IR version = " + std::to_string(model.ir_version()) + ", expected " +
                    std::to_string(kMinIrVersion) + " to " + std::to_string(kMaxIrVersion));
  }
  int64_t opset = -1;
  for (const onnx::OperatorSetIdProto& entry : model.opset_import()) {
    if (is_default_domain(entry.domain())) opset = entry.version();
  }
  if (opset < kMinOpset || opset > kMaxOpset) {
    throw DataError("onnx: operator set = " + (opset < 0 ? "none" : std::to_string(opset)) +
                    ", expected " + std::to_string(kMinOpset) + " to " + std::to_string(kMaxOpset));
  }
  if (!model.has_graph()) throw DataError("onnx: no graph, expected one");
  if (model.functions_size() > 0) throw DataError("onnx: local functions are not supported");
  if (model.graph().sparse_initializer_size() > 0) {
    throw DataError("onnx: sparse initialisers are not supported");
  }
}

/// Returns a float constant of one value.
std::optional<double> single_value(const onnx::TensorProto& tensor) {
  if (tensor.data_type() != onnx::TensorProto::FLOAT) return std::nullopt;
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) return std::nullopt;
  for (const int64_t dimension : tensor.dims()) {
    if (dimension != 1) return std::nullopt;
  }
  return double{onnx_reader::read_floats(tensor, 1).values[0]};
}

/// Returns every scalar constant of the graph, wherever it stands.
std::map<std::string, double> scalar_constants(const onnx::GraphProto& graph) {
  std::map<std::string, double> scalars;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    if (const auto value = single_value(tensor)) scalars.emplace(tensor.name(), *value);
  }
  for (const onnx::NodeProto& node : graph.node()) {
    if (node.op_type() != "Constant" || node.output_size() != 1) continue;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.name() == "value_float") scalars.emplace(node.output(0), double{attribute.f()});
      if (attribute.name() != "value") continue;
      if (const auto value = single_value(attribute.t())) scalars.emplace(node.output(0), *value);
    }
  }
  return scalars;
}

}  // namespace

OnnxImporter::OnnxImporter(const onnx::GraphProto& graph, const OnnxLimits& limits)
    : graph_(graph), limits_(limits) {}

OnnxImporter::~OnnxImporter() = default;

const std::map<std::string, OnnxImporter::Reader>& OnnxImporter::readers() {
  using I = OnnxImporter;
  static const std::map<std::string, Reader> kReaders = {
      {"Add", &I::read_add},
      {"AveragePool", &I::read_pool},
      {"BatchNormalization", &I::read_batch_normalization},
      {"Cast", &I::read_cast},
      {"Clip", &I::read_clip},
      {"Concat", &I::read_concat},
      {"Constant", &I::read_constant},
      {"Conv", &I::read_conv},
      {"DequantizeLinear", &I::read_dequantize},
      {"Dropout", &I::read_alias},
      {"Flatten", &I::read_flatten},
      {"Gather", &I::read_gather},
      {"Gemm", &I::read_gemm},
      {"GlobalAveragePool", &I::read_global_average_pool},
      {"HardSigmoid", &I::read_hard_sigmoid},
      {"HardSwish", &I::read_simple_activation},
      {"Identity", &I::read_alias},
      {"MatMul", &I::read_mat_mul},
      {"MaxPool", &I::read_pool},
      {"Mul", &I::read_mul},
      {"QuantizeLinear", &I::read_quantize},
      {"ReduceMean", &I::read_reduce_mean},
      {"Relu", &I::read_simple_activation},
      {"Reshape", &I::read_reshape},
      {"Resize", &I::read_resize},
      {"Shape", &I::read_shape},
      {"Sigmoid", &I::read_simple_activation},
      {"Slice", &I::read_slice},
      {"Split", &I::read_split},
      {"Squeeze", &I::read_squeeze},
      {"Unsqueeze", &I::read_unsqueeze},
  };
  return kReaders;
}

Model OnnxImporter::run() {
  if (static_cast<size_t>(graph_.node_size()) > limits_.max_nodes) {
    throw DataError("onnx: " + std::to_string(graph_.node_size()) + " nodes, expected at most " +
                    std::to_string(limits_.max_nodes));
  }
  const std::map<std::string, double> scalars = scalar_constants(graph_);
  patterns_ = find_onnx_patterns(graph_, [&scalars](const std::string& name) {
    const auto found = scalars.find(name);
    return found == scalars.end() ? std::nullopt : std::optional<double>(found->second);
  });
  index_initializers();
  is_quantized_ = std::any_of(graph_.node().begin(), graph_.node().end(), [](const Node& node) {
    return node.op_type() == "QuantizeLinear" || node.op_type() == "DequantizeLinear";
  });
  read_input();
  for (int i = 0; i < graph_.node_size(); ++i) read_node(i);
  read_output();
  fill_random_weights();
  check_float_readers();
  finish_quantization();
  Model model{std::move(network_), std::move(weights_), {}, !random_parameters_.empty()};
  if (!is_quantized_) return model;
  Quantization& quantization = model.quantization.emplace();
  for (const auto& [id, scale] : output_scales_) {
    quantization.outputs[model.network.node(id).name] = scale;
  }
  quantization.weights = std::move(weight_scales_);
  const std::string fault = quantization_fault(model);
  if (!fault.empty()) throw DataError("onnx: " + fault);
  return model;
}

void OnnxImporter::index_initializers() {
  for (const onnx::TensorProto& tensor : graph_.initializer()) {
    if (tensor.name().empty()) throw DataError("onnx: an initialiser has no name");
    if (!defined_.insert(tensor.name()).second) {
      throw DataError("tensor " + printable(tensor.name()) + ": the name is used twice");
    }
    constants_.emplace(tensor.name(), &tensor);
  }
}

void OnnxImporter::read_input() {
  const onnx::ValueInfoProto* input = nullptr;
  int count = 0;
  for (const onnx::ValueInfoProto& value : graph_.input()) {
    if (is_constant(value.name())) continue;  // old files list their initialisers, too
    input = &value;
    ++count;
  }
  if (count != 1) {
    throw DataError("onnx: " + std::to_string(count) + " inputs, expected one image");
  }
  const std::string where = "input " + printable(input->name());
  const auto& type = input->type().tensor_type();
  if (type.elem_type() != onnx::TensorProto::FLOAT) {
    throw DataError(where + ": element type " + std::to_string(type.elem_type()) +
                    ", expected FLOAT");
  }
  Shape shape;
  for (const auto& dimension : type.shape().dim()) {
    const bool symbolic_batch = shape.empty() && !dimension.has_dim_value();
    shape.push_back(symbolic_batch ? 1 : dimension.dim_value());
    if (shape.size() > 4) break;
  }
  int64_t elements = 1;
  bool good = shape.size() == 4 && shape[0] == 1;
  for (const int64_t dimension : shape) {
    good = good && dimension > 0 && dimension <= limits_.max_activation_elements / elements;
    if (good) elements *= dimension;
  }
  if (!good) {
    throw DataError(where + ": shape " + to_string(shape) + ", expected [1, C, H, W] of at most " +
                    std::to_string(limits_.max_activation_elements) + " values");
  }
  if (input->name().empty()) throw DataError("onnx: the input has no name");
  defined_.insert(input->name());
  const std::string name = printable(input->name());
  node_names_.insert(name);
  const NodeId id = network_.add_input(name, shape);
  tensors_[input->name()] = id;
  names_[id] = {input->name()};
}

void OnnxImporter::read_node(int index) {
  const Node& node = graph_.node(index);
  index_ = index;
  if (!is_default_domain(node.domain())) {
    fail(node, "domain " + printable(node.domain()) + " is not supported");
  }
  const auto alias = patterns_.aliases.find(index);
  if (patterns_.inner[static_cast<size_t>(index)]) {
    for (const std::string& name : node.output()) define(node, name);
    return;
  }
  if (alias != patterns_.aliases.end()) {
    require_outputs(node, 1);
    return set_tensor(node, tensor_named(node, alias->second));
  }
  const auto activation = patterns_.activations.find(index);
  if (activation != patterns_.activations.end()) {
    const NodeId input = tensor_named(node, activation->second.input);
    require_outputs(node, 1);
    const Activation op{activation->second.kind};
    return set_tensor(node, add(node, unique_node_name(node), op, {input}));
  }
  if (node.op_type() == "Softmax") {
    fail(node, "softmax is not part of lathe's networks, export the model up to its logits");
  }
  const auto reader = readers().find(node.op_type());
  if (reader == readers().end()) {
    const auto type_of = [](const auto& known) { return known.first; };
    fail(node, "the operator is not supported, expected one of " + join(readers(), ", ", type_of));
  }
  (this->*reader->second)(node);
}

void OnnxImporter::read_output() {
  if (graph_.output_size() != 1) {
    throw DataError("onnx: " + std::to_string(graph_.output_size()) + " outputs, expected one");
  }
  const std::string& name = graph_.output(0).name();
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw DataError("onnx: output " + printable(name) + " is not made by any node");
  }
  network_.set_output(found->second);
}

void OnnxImporter::fill_random_weights() {
  std::map<uint64_t, std::vector<std::string>> by_seed;
  for (const auto& [name, seed] : random_parameters_) by_seed[seed].push_back(name);
  if (by_seed.size() > 1) {
    throw DataError("onnx: lathe:random with " + std::to_string(by_seed.size()) +
                    " seeds, expected one");
  }
  for (const auto& [seed, names] : by_seed) {
    Weights random = random_weights(network_, seed);
    for (const std::string& name : names) weights_[name] = std::move(random[name]);
  }
}

Model import_onnx(std::string bytes, const OnnxLimits& limits) {
  if (bytes.size() > limits.max_bytes || bytes.size() > INT_MAX) {
    throw DataError("onnx: " + std::to_string(bytes.size()) + " bytes, expected at most " +
                    std::to_string(std::min<size_t>(limits.max_bytes, INT_MAX)));
  }
  check_graph_bytes(bytes, limits.max_graph_bytes);
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw DataError("onnx: " + std::to_string(bytes.size()) + " bytes that are not an ONNX model");
  }
  std::string().swap(bytes);
  check_header(model);
  return OnnxImporter(model.graph(), limits).run();
}

Model read_onnx_file(const std::filesystem::path& file, const OnnxLimits& limits) {
  std::string bytes = read_file(file);
  try {
    return import_onnx(std::move(bytes), limits);
  } catch (const DataError& error) {
    throw DataError(file.string() + ": " + error.what());
  }
}

}  // namespace lathe::network
