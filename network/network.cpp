#include "network/network.h"

#include <utility>

#include "network/shape_inference.h"

namespace lathe::network {

NodeId Network::add_input(const std::string& name, const Shape& shape) {
  if (!nodes_.empty()) {
    throw InvariantError("input " + name +
                         ": the network has nodes, expected one input before all");
  }
  check_input_shape(name, shape);
  nodes_.push_back({0, name, Input{}, {}, {}, shape});
  by_name_.emplace(name, 0);
  return 0;
}

NodeId Network::add(const std::string& name, Operator op, const std::vector<NodeId>& inputs,
                    const std::string& parameter_prefix) {
  const auto where = [&] { return std::string(operator_name(op)) + " " + name; };
  const auto taken = by_name_.find(name);
  if (taken != by_name_.end()) {
    throw InvariantError(where() + ": the name is taken by node " + std::to_string(taken->second) +
                         ", expected a new name");
  }
  std::vector<Shape> shapes;
  for (const NodeId id : inputs) {
    if (id < 0 || static_cast<size_t>(id) >= nodes_.size()) {
      throw InvariantError(where() + ": input node " + std::to_string(id) +
                           ", expected one of the " + std::to_string(nodes_.size()) +
                           " earlier nodes");
    }
    shapes.push_back(nodes_[static_cast<size_t>(id)].shape);
  }
  InferredNode inferred = infer(name, op, shapes);
  const std::string& prefix = parameter_prefix.empty() ? name : parameter_prefix;
  std::vector<Parameter> parameters;
  for (auto& [role, shape] : inferred.parameters) {
    parameters.push_back({prefix + "." + role, std::move(shape)});
  }
  const auto id = static_cast<NodeId>(nodes_.size());
  nodes_.push_back(
      {id, name, std::move(op), inputs, std::move(parameters), std::move(inferred.shape)});
  by_name_.emplace(name, id);
  return id;
}

void Network::set_output(NodeId id) {
  node(id);  // refuses an unknown one
  output_ = id;
}

const Node& Network::node(NodeId id) const {
  if (id < 0 || static_cast<size_t>(id) >= nodes_.size()) {
    throw InvariantError("network: node " + std::to_string(id) + ", expected one of the " +
                         std::to_string(nodes_.size()) + " nodes");
  }
  return nodes_[static_cast<size_t>(id)];
}

NodeId Network::input() const {
  if (nodes_.empty()) throw InvariantError("network: no input, expected add_input first");
  return 0;
}

NodeId Network::output() const {
  if (nodes_.empty()) throw InvariantError("network: no output, expected at least an input");
  return output_ >= 0 ? output_ : static_cast<NodeId>(nodes_.size()) - 1;
}

std::vector<int> Network::use_counts() const {
  std::vector<int> counts(nodes_.size(), 0);
  for (const Node& node : nodes_) {
    for (const NodeId id : node.inputs) ++counts[static_cast<size_t>(id)];
  }
  if (!nodes_.empty()) ++counts[static_cast<size_t>(output())];
  return counts;
}

}  // namespace lathe::network
