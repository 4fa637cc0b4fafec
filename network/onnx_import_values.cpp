#include <onnx/onnx_pb.h>

#include <algorithm>
#include <utility>

#include "network/onnx_importer.h"

namespace lathe::network {

using onnx_reader::fail;
using onnx_reader::printable;

// Values by name.

NodeId OnnxImporter::tensor_input(const Node& node, int index) const {
  if (index >= node.input_size() || node.input(index).empty()) {
    fail(node, "input " + std::to_string(index) + " is missing");
  }
  return tensor_named(node, node.input(index));
}

NodeId OnnxImporter::tensor_named(const Node& node, const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  if (is_constant(name)) {
    fail(node, "input " + printable(name) + " is a constant, expected a tensor of the network");
  }
  fail(node, "input " + printable(name) + " is not made by an earlier node");
}

const onnx::TensorProto* OnnxImporter::constant_input(const Node& node, int index) const {
  if (index >= node.input_size() || node.input(index).empty()) return nullptr;
  const std::string& name = node.input(index);
  const auto found = constants_.find(name);
  if (found != constants_.end()) return found->second;
  fail(node, "input " + printable(name) +
                 (is_tensor(name) ? " is a tensor of the network, expected a constant"
                                  : " is not made by an earlier node"));
}

const onnx::TensorProto& OnnxImporter::required_constant(const Node& node, int index) const {
  const onnx::TensorProto* found = constant_input(node, index);
  if (found == nullptr) fail(node, "input " + std::to_string(index) + " is missing");
  return *found;
}

void OnnxImporter::define(const Node& node, const std::string& name) {
  if (name.empty()) return;  // an output that nobody reads
  if (!defined_.insert(name).second) {
    fail(node, "output " + printable(name) + " is made twice");
  }
}

void OnnxImporter::set_tensor(const Node& node, NodeId id, int output) {
  if (output >= node.output_size()) fail(node, "no output, expected one");
  const std::string& name = node.output(output);
  define(node, name);
  if (name.empty()) return;
  tensors_[name] = id;
  std::vector<std::string>& names = names_[id];
  names.push_back(name);
  if (names.size() == 1) return;
  aliases_.insert(&node);
  const bool of_rounded =
      std::any_of(node.input().begin(), node.input().end(),
                  [this](const auto& read) { return rounded_.count(read) != 0; });
  if (of_rounded) rounded_.insert(name);
}

void OnnxImporter::set_constant(const Node& node, const onnx::TensorProto* constant) {
  require_outputs(node, 1);
  define(node, node.output(0));
  constants_[node.output(0)] = constant;
}

void OnnxImporter::require_outputs(const Node& node, int expected) const {
  int used = 0;
  for (int i = 0; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) used = i + 1;
  }
  if (used != expected) {
    fail(node, std::to_string(used) + " outputs, expected " + std::to_string(expected));
  }
}

// Network nodes.

std::string OnnxImporter::unique_node_name(const Node& node) const {
  const bool named = !node.name().empty();
  const std::string& wanted = named || node.output_size() == 0 ? node.name() : node.output(0);
  return unique_name(printable(wanted));
}

std::string OnnxImporter::unique_name(const std::string& wanted) const {
  const std::string base = wanted.empty() ? "node" : wanted;
  std::string name = base;
  while (node_names_.count(name) != 0) name = base + "_" + std::to_string(++name_suffixes_[base]);
  return name;
}

NodeId OnnxImporter::add(const Node& node, const std::string& name, const Operator& op,
                         const std::vector<NodeId>& inputs, const std::string& prefix) {
  if (network_.nodes().size() >= limits_.max_nodes) {
    fail(node, "more than " + std::to_string(limits_.max_nodes) + " nodes");
  }
  NodeId id = -1;
  try {
    id = network_.add(name, op, inputs, prefix);
  } catch (const InvariantError& error) {
    const std::string context = std::string(operator_name(op)) + " " + name + ": ";
    std::string what = error.what();
    if (what.compare(0, context.size(), context) == 0) what.erase(0, context.size());
    fail(node, what);
  }
  node_names_.insert(name);
  const Shape& shape = shape_of(id);
  if (element_count(shape) > limits_.max_activation_elements) {
    fail(node, "output " + to_string(shape) + ", expected at most " +
                   std::to_string(limits_.max_activation_elements) + " values");
  }
  return id;
}

NodeId OnnxImporter::add_with_parameters(const Node& node, const std::string& name,
                                         const Operator& op, NodeId input,
                                         const std::vector<Source>& sources) {
  const bool norm = std::holds_alternative<BatchNorm>(op);
  if (sources.empty() || sources.size() > (norm ? 4U : 2U)) {
    fail(node, std::to_string(sources.size()) + " constants, expected " + (norm ? "4" : "1 or 2"));
  }
  const NodeId id = add(node, name, op, {input}, parameter_prefix(name, sources, op));
  const std::vector<Parameter> parameters = network_.node(id).parameters;
  for (size_t i = 0; i < parameters.size(); ++i) set_parameter(node, parameters[i], sources[i]);
  if (is_quantized_ && !norm) set_parameter_scales(node, id, sources);
  return id;
}

/// Returns "block" for constants called "block.weight" and "block.bias", so that names survive, and
/// the node's name otherwise; never a prefix under which another constant is known.
std::string OnnxImporter::parameter_prefix(const std::string& name,
                                           const std::vector<Source>& sources,
                                           const Operator& op) const {
  static const std::vector<std::string> kNormalisation = {".gamma", ".beta", ".mean", ".variance"};
  static const std::vector<std::string> kLinear = {".weight", ".bias"};
  const auto& roles = std::holds_alternative<BatchNorm>(op) ? kNormalisation : kLinear;
  const auto is_taken = [&](const std::string& prefix) {
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto known = parameter_sources_.find(prefix + roles[i]);
      if (known == parameter_sources_.end()) continue;
      if (known->second != sources[i].tensor || sources[i].convert) return true;
    }
    return false;
  };
  std::string prefix;
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string front = front_of(sources[i], roles[i]);
    prefix = i == 0 || front == prefix ? front : "";
    if (prefix.empty()) break;
  }
  if (prefix.empty() || is_taken(prefix)) prefix = name;
  while (is_taken(prefix)) prefix += "_";
  return prefix;
}

/// Returns the constant's name without `role` at its end, or nothing if it is called otherwise.
std::string OnnxImporter::front_of(const Source& source, const std::string& role) {
  const std::string name = source.tensor->name();
  if (source.convert || name != printable(name) || name.size() <= role.size()) return "";
  const size_t front = name.size() - role.size();
  return name.compare(front, role.size(), role) == 0 ? name.substr(0, front) : "";
}

void OnnxImporter::set_parameter(const Node& node, const Parameter& parameter,
                                 const Source& source) {
  const auto [known, added] = parameter_sources_.emplace(parameter.name, source.tensor);
  if (!added && known->second == source.tensor && !source.convert) return;
  const Shape file_shape = onnx_reader::tensor_shape(*source.tensor, limits_.max_parameters);
  if (!source.convert && file_shape != parameter.shape) {
    fail(node, "tensor " + printable(source.tensor->name()) + " has shape " +
                   to_string(file_shape) + ", expected " + to_string(parameter.shape));
  }
  weight_values_ += element_count(parameter.shape);
  if (weight_values_ > limits_.max_parameters) {
    fail(node, "more than " + std::to_string(limits_.max_parameters) + " parameter values");
  }
  if (const auto seed = onnx_reader::random_seed(*source.tensor)) {
    if (source.tensor->data_type() != onnx::TensorProto::FLOAT) {
      fail(node, "tensor " + printable(source.tensor->name()) + ": random values must be FLOAT");
    }
    random_parameters_.emplace(parameter.name, *seed);
    return;
  }
  const Dequantized* integers = dequantized(source.tensor);
  Tensor values = integers != nullptr
                      ? dequantized_values(node, *integers)
                      : onnx_reader::read_floats(*source.tensor, limits_.max_parameters);
  weights_[parameter.name] = source.convert ? source.convert(std::move(values)) : std::move(values);
}

ActivationKind OnnxImporter::fused_activation() const {
  const auto found = patterns_.fused.find(index_);
  return found == patterns_.fused.end() ? ActivationKind::Identity : found->second;
}

}  // namespace lathe::network
