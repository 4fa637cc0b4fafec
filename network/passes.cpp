#include "network/passes.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace lathe::network {
namespace {

constexpr NodeId kNone = -1;

/// For each node, the one later node that it takes into itself, or kNone.
using Absorbed = std::vector<NodeId>;

bool folds_batch_norm(const Operator& op) {
  const auto* conv = std::get_if<Conv2d>(&op);
  return conv != nullptr && conv->activation == ActivationKind::Identity;
}

/// Returns the activation slot of the operators that have one.
ActivationKind* activation_slot(Operator& op) {
  if (auto* conv = std::get_if<Conv2d>(&op)) return &conv->activation;
  if (auto* linear = std::get_if<Linear>(&op)) return &linear->activation;
  if (auto* add = std::get_if<Add>(&op)) return &add->activation;
  return nullptr;
}

bool takes_activation(const Operator& op) {
  Operator copy = op;
  const ActivationKind* slot = activation_slot(copy);
  return slot != nullptr && *slot == ActivationKind::Identity;
}

/// Finds every node of type `Later` whose input is read by nobody else and may take it.
template <typename Later>
Absorbed find_absorbed(const Network& network, bool (*may_absorb)(const Operator&)) {
  const std::vector<int> uses = network.use_counts();
  Absorbed absorbed(network.nodes().size(), kNone);
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<Later>(node.op)) continue;
    const NodeId before = node.inputs[0];
    const auto index = static_cast<size_t>(before);
    if (uses[index] == 1 && may_absorb(network.node(before).op)) absorbed[index] = node.id;
  }
  return absorbed;
}

/// "stage1.conv.weight" -> "stage1.conv"; empty for nodes without parameters.
std::string parameter_prefix(const Node& node) {
  if (node.parameters.empty()) return "";
  const std::string& name = node.parameters[0].name;
  return name.substr(0, name.rfind('.'));
}

enum class ParameterNames { Keep, AfterNode };

using Merge = std::function<void(Operator&, const Operator&)>;

/// Rebuilds `network` of its kept nodes without the absorbed ones; `merge` changes the operator of
/// the node that absorbs.
Network rebuild(const Network& network, const std::vector<bool>& kept, const Absorbed& absorbed,
                ParameterNames names, const Merge& merge) {
  std::vector<NodeId> new_ids(network.nodes().size(), kNone);
  Network result;
  for (const Node& node : network.nodes()) {
    const auto index = static_cast<size_t>(node.id);
    if (!kept[index] || new_ids[index] != kNone) continue;  // unused, or absorbed before
    if (node.id == network.input()) {
      new_ids[index] = result.add_input(node.name, node.shape);
      continue;
    }
    Operator op = node.op;
    const NodeId later = absorbed[index];
    if (later != kNone) merge(op, network.node(later).op);
    std::vector<NodeId> inputs;
    for (const NodeId id : node.inputs) inputs.push_back(new_ids[static_cast<size_t>(id)]);
    const std::string prefix = names == ParameterNames::Keep ? parameter_prefix(node) : "";
    new_ids[index] = result.add(node.name, std::move(op), inputs, prefix);
    if (later != kNone) new_ids[static_cast<size_t>(later)] = new_ids[index];
  }
  result.set_output(new_ids[static_cast<size_t>(network.output())]);
  return result;
}

std::vector<bool> all_nodes(const Network& network) {
  return std::vector<bool>(network.nodes().size(), true);
}

Network fold_network(const Network& network, const Absorbed& absorbed) {
  return rebuild(network, all_nodes(network), absorbed, ParameterNames::AfterNode,
                 [](Operator& conv, const Operator&) { std::get<Conv2d>(conv).bias = true; });
}

Network fuse_network(const Network& network) {
  const Absorbed absorbed = find_absorbed<Activation>(network, takes_activation);
  return rebuild(network, all_nodes(network), absorbed, ParameterNames::Keep,
                 [](Operator& op, const Operator& activation) {
                   *activation_slot(op) = std::get<Activation>(activation).kind;
                 });
}

/// Scales the convolution's output channels by gamma / sqrt(variance + epsilon) and moves the rest
/// into its bias.
void fold_values(const Node& conv, const Node& norm, const Weights& weights, Weights& folded) {
  Tensor weight = weights.at(conv.parameters[0].name);
  Tensor bias{{conv.shape[1]}, std::vector<float>(static_cast<size_t>(conv.shape[1]), 0.0F)};
  if (conv.parameters.size() > 1) bias = weights.at(conv.parameters[1].name);
  const std::vector<float>& gamma = weights.at(norm.parameters[0].name).values;
  const std::vector<float>& beta = weights.at(norm.parameters[1].name).values;
  const std::vector<float>& mean = weights.at(norm.parameters[2].name).values;
  const std::vector<float>& variance = weights.at(norm.parameters[3].name).values;
  const double epsilon = std::get<BatchNorm>(norm.op).epsilon;
  const size_t per_channel = weight.values.size() / gamma.size();
  for (size_t channel = 0; channel < gamma.size(); ++channel) {
    const double scale = double{gamma[channel]} / std::sqrt(double{variance[channel]} + epsilon);
    for (size_t i = channel * per_channel; i < (channel + 1) * per_channel; ++i) {
      weight.values[i] = static_cast<float>(double{weight.values[i]} * scale);
    }
    const double shift = (double{bias.values[channel]} - double{mean[channel]}) * scale;
    bias.values[channel] = static_cast<float>(shift + double{beta[channel]});
  }
  folded[conv.name + ".weight"] = std::move(weight);
  folded[conv.name + ".bias"] = std::move(bias);
}

/// Copies a node's values to the names that follow from the node's own name.
void rename_values(const Node& node, const Weights& weights, Weights& renamed) {
  for (const Parameter& parameter : node.parameters) {
    const std::string role = parameter.name.substr(parameter.name.rfind('.'));
    renamed[node.name + role] = weights.at(parameter.name);
  }
}

void require_float(const Model& model, const char* pass) {
  if (model.quantization) {
    throw InvariantError(std::string(pass) + ": the model is quantised, expected a float model");
  }
}

}  // namespace

std::vector<bool> needed_nodes(const Network& network) {
  std::vector<bool> needed(network.nodes().size(), false);
  needed[static_cast<size_t>(network.output())] = true;
  for (size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const NodeId id : network.nodes()[i].inputs) needed[static_cast<size_t>(id)] = true;
  }
  needed[static_cast<size_t>(network.input())] = true;
  return needed;
}

Model fold_batch_norm(const Model& model) {
  require_float(model, "fold_batch_norm");
  check_weights(model.network, model.weights);
  const Absorbed absorbed = find_absorbed<BatchNorm>(model.network, folds_batch_norm);
  std::vector<bool> done(absorbed.size(), false);
  Weights weights;
  for (const Node& node : model.network.nodes()) {
    const auto index = static_cast<size_t>(node.id);
    if (done[index]) continue;
    if (absorbed[index] == kNone) {
      rename_values(node, model.weights, weights);
      continue;
    }
    fold_values(node, model.network.node(absorbed[index]), model.weights, weights);
    done[static_cast<size_t>(absorbed[index])] = true;
  }
  return {fold_network(model.network, absorbed), std::move(weights), {}, model.stand_in_weights};
}

Model fuse_activations(const Model& model) {
  require_float(model, "fuse_activations");
  return {fuse_network(model.network), model.weights, {}, model.stand_in_weights};
}

Network drop_unused(const Network& network) {
  const Absorbed nothing(network.nodes().size(), kNone);
  return rebuild(network, needed_nodes(network), nothing, ParameterNames::Keep, {});
}

Model deploy(const Model& model) {
  if (model.quantization) return model;
  return fuse_activations(
      fold_batch_norm({drop_unused(model.network), model.weights, {}, model.stand_in_weights}));
}

Network deploy(const Network& network) {
  const std::vector<bool> needed = needed_nodes(network);
  if (std::find(needed.begin(), needed.end(), false) != needed.end()) {
    return deploy(drop_unused(network));
  }
  return fuse_network(fold_network(network, find_absorbed<BatchNorm>(network, folds_batch_norm)));
}

}  // namespace lathe::network
