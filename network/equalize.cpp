#include "network/equalize.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "network/passes.h"

namespace lathe::network {
namespace {

constexpr int kRounds = 40;
constexpr double kSettled = 1e-3;
constexpr double kLargestFactor = 1024.0;

/// Two layers by node, the second reading the first alone.
struct Pair {
  NodeId first;
  NodeId second;
};

const ActivationKind* activation_of(const Operator& op) {
  if (const auto* conv = std::get_if<Conv2d>(&op)) return &conv->activation;
  if (const auto* linear = std::get_if<Linear>(&op)) return &linear->activation;
  return nullptr;
}

/// Whether every input channel of the layer has weights of its own to scale: a plain convolution, a
/// depthwise one with one output a channel, or a linear layer.
bool scales_inputs(const Node& node, int64_t in_channels) {
  const auto* conv = std::get_if<Conv2d>(&node.op);
  if (conv == nullptr) return std::holds_alternative<Linear>(node.op);
  return conv->groups == 1 || (conv->groups == in_channels && conv->out_channels == in_channels);
}

std::vector<Pair> find_pairs(const Network& network) {
  const std::vector<int> uses = network.use_counts();
  std::vector<Pair> pairs;
  for (const Node& node : network.nodes()) {
    if (activation_of(node.op) == nullptr) continue;
    const Node& before = network.node(node.inputs[0]);
    if (activation_of(before.op) == nullptr || uses[static_cast<size_t>(before.id)] != 1) continue;
    const ActivationKind kind = *activation_of(before.op);
    const bool scales = kind == ActivationKind::Identity || kind == ActivationKind::Relu ||
                        kind == ActivationKind::Relu6;
    if (scales && scales_inputs(node, before.shape[1])) pairs.push_back({before.id, node.id});
  }
  return pairs;
}

/// Calls f(value, channel) for every weight of a layer, with the index of its input channel.
template <typename F>
void each_by_input(const Node& node, std::vector<float>& weight, const F& f) {
  const Shape& shape = node.parameters[0].shape;
  const size_t inner = shape.size() == 4 ? static_cast<size_t>(shape[2] * shape[3]) : 1;
  const auto inputs = static_cast<size_t>(shape[1]);
  const auto* conv = std::get_if<Conv2d>(&node.op);
  const bool depthwise = conv != nullptr && conv->groups > 1;
  for (size_t i = 0; i < weight.size(); ++i) {
    f(weight[i], depthwise ? i / inner : i / inner % inputs);
  }
}

std::vector<double> input_ranges(const Node& node, std::vector<float>& weight, size_t channels) {
  std::vector<double> ranges(channels, 0.0);
  each_by_input(node, weight, [&ranges](float value, size_t channel) {
    ranges[channel] = std::max(ranges[channel], std::abs(double{value}));
  });
  return ranges;
}

/// Scales one pair and returns the largest change of a factor from 1.
double equalize_pair(Model& model, const Node& first, const Node& second) {
  std::vector<float>& out = model.weights.at(first.parameters[0].name).values;
  std::vector<float>& in = model.weights.at(second.parameters[0].name).values;
  const auto channels = static_cast<size_t>(first.shape[1]);
  const size_t per_channel = out.size() / channels;
  const std::vector<double> after = input_ranges(second, in, channels);
  std::vector<double> factors(channels, 1.0);  // the first layer's channel is divided by it
  double change = 0.0;
  for (size_t c = 0; c < channels; ++c) {
    double before = 0.0;
    for (size_t i = c * per_channel; i < (c + 1) * per_channel; ++i) {
      before = std::max(before, std::abs(double{out[i]}));
    }
    if (before == 0.0 || after[c] == 0.0) continue;
    const double wanted = std::sqrt(before / after[c]);
    factors[c] = std::min(std::max(wanted, 1.0 / kLargestFactor), kLargestFactor);
    change = std::max(change, std::abs(factors[c] - 1.0));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(double{out[i]} / factors[i / per_channel]);
  }
  if (first.parameters.size() > 1) {
    std::vector<float>& bias = model.weights.at(first.parameters[1].name).values;
    for (size_t c = 0; c < channels; ++c) {
      bias[c] = static_cast<float>(double{bias[c]} / factors[c]);
    }
  }
  each_by_input(second, in, [&factors](float& value, size_t channel) {
    value = static_cast<float>(double{value} * factors[channel]);
  });
  return change;
}

/// Returns the network with these layers' relu6 as relu.
Network with_relu(const Network& network, const std::set<NodeId>& layers) {
  Network result;
  for (const Node& node : network.nodes()) {
    if (node.id == network.input()) {
      result.add_input(node.name, node.shape);
      continue;
    }
    Operator op = node.op;
    if (layers.count(node.id) != 0) {
      if (auto* conv = std::get_if<Conv2d>(&op)) conv->activation = ActivationKind::Relu;
      if (auto* linear = std::get_if<Linear>(&op)) linear->activation = ActivationKind::Relu;
    }
    std::string prefix = node.parameters.empty() ? "" : node.parameters[0].name;
    prefix = prefix.substr(0, prefix.rfind('.'));
    result.add(node.name, std::move(op), node.inputs, prefix);
  }
  result.set_output(network.output());
  return result;
}

}  // namespace

Equalization equalize(Model& model, const ValueRanges& observed) {
  Equalization done;
  std::vector<Pair> pairs;
  std::set<NodeId> replaced;
  for (const Pair& pair : find_pairs(model.network)) {
    const Node& first = model.network.node(pair.first);
    const ActivationKind kind = *activation_of(first.op);
    if (kind == ActivationKind::Relu6) {
      const auto range = observed.find(first.name);
      if (range == observed.end() || range->second.high >= 6.0F) {
        done.relu6_kept.push_back(first.name);
        continue;
      }
      done.relu6_as_relu.push_back(first.name);
      replaced.insert(first.id);
    }
    pairs.push_back(pair);
    done.pairs.emplace_back(first.name, model.network.node(pair.second).name);
  }
  model.network = with_relu(model.network, replaced);
  for (int round = 0; round < kRounds; ++round) {
    double change = 0.0;
    for (const Pair& pair : pairs) {
      const Node& second = model.network.node(pair.second);
      change = std::max(change, equalize_pair(model, model.network.node(pair.first), second));
    }
    if (change < kSettled) break;
  }
  return done;
}

}  // namespace lathe::network
