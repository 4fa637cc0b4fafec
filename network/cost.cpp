#include "network/cost.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "network/passes.h"

namespace lathe::network {
namespace {

constexpr int64_t kFloatBytes = 4;

/// Adds without overflow; hostile networks reach the largest value instead.
int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<int64_t>::max() : sum;
}

int64_t macs_of(const Node& node) {
  if (std::holds_alternative<Conv2d>(node.op)) {
    const int64_t per_output = element_count(node.parameters[0].shape) / node.shape[1];
    return element_count(node.shape) * per_output;
  }
  if (std::holds_alternative<Linear>(node.op)) return element_count(node.parameters[0].shape);
  return 0;
}

/// The values that training learns: two nodes that share one slice of a tensor learn it once.
int64_t count_learned(const Network& network) {
  std::set<std::pair<std::string, Shape>> seen;
  int64_t count = 0;
  for (const Node& node : network.nodes()) {
    const size_t learned = std::holds_alternative<BatchNorm>(node.op) ? 2 : node.parameters.size();
    for (size_t i = 0; i < learned; ++i) {
      const Parameter& parameter = node.parameters[i];
      if (!seen.emplace(parameter.name, parameter.shape).second) continue;
      count = saturating_add(count, element_count(parameter.shape));
    }
  }
  return count;
}

/// Bytes of all parameters, running statistics included.
int64_t stored_bytes(const Network& network) {
  int64_t bytes = 0;
  for (const Node& node : network.nodes()) {
    for (const Parameter& parameter : node.parameters) {
      bytes = saturating_add(bytes, kFloatBytes * element_count(parameter.shape));
    }
  }
  return bytes;
}

bool may_run_in_place(const Operator& op) {
  return std::holds_alternative<Activation>(op) || std::holds_alternative<Add>(op) ||
         std::holds_alternative<Multiply>(op) || std::holds_alternative<BatchNorm>(op) ||
         std::holds_alternative<Flatten>(op);
}

/// The last node that reads each node's output; the network's result is read after the last node.
std::vector<size_t> last_uses(const Network& network) {
  std::vector<size_t> last(network.nodes().size());
  for (size_t i = 0; i < last.size(); ++i) {
    last[i] = i;
    for (const NodeId id : network.nodes()[i].inputs) last[static_cast<size_t>(id)] = i;
  }
  if (!last.empty()) last[static_cast<size_t>(network.output())] = last.size();
  return last;
}

/// `value_bytes` of a node's output.
int64_t peak_activation_bytes(const Network& network,
                              const std::function<int64_t(const Node&)>& value_bytes) {
  const std::vector<size_t> last = last_uses(network);
  int64_t live = 0;
  int64_t peak = 0;
  for (size_t i = 0; i < last.size(); ++i) {
    const Node& node = network.nodes()[i];
    const int64_t bytes = value_bytes(node) * element_count(node.shape);
    const std::set<NodeId> inputs(node.inputs.begin(), node.inputs.end());
    int64_t dying = 0;
    bool in_place = false;
    for (const NodeId id : inputs) {
      if (last[static_cast<size_t>(id)] != i) continue;
      const Node& input = network.node(id);
      const int64_t input_bytes = value_bytes(input) * element_count(input.shape);
      dying += input_bytes;
      in_place = in_place || (may_run_in_place(node.op) && input_bytes == bytes);
    }
    peak = std::max(peak, saturating_add(live, in_place ? 0 : bytes));
    live = saturating_add(live, bytes) - dying;
    if (last[i] == i) live -= bytes;  // nobody reads it
  }
  return peak;
}

}  // namespace

std::vector<int64_t> node_macs(const Network& network) {
  std::vector<int64_t> macs;
  macs.reserve(network.nodes().size());
  for (const Node& node : network.nodes()) macs.push_back(macs_of(node));
  return macs;
}

Cost cost(const Network& network) { return cost(network, deploy(network)); }

Cost cost(const Network& network, const Network& deployed) {
  Cost result;
  for (const int64_t macs : node_macs(network)) result.macs = saturating_add(result.macs, macs);
  result.params = count_learned(network);
  result.peak_activation_bytes =
      peak_activation_bytes(network, [](const Node&) { return kFloatBytes; });
  result.model_bytes = stored_bytes(deployed);
  return result;
}

Cost cost(const Model& model) {
  Cost result = cost(model.network);
  if (!model.quantization) return result;
  const Quantization& quantization = *model.quantization;
  result.peak_activation_bytes = peak_activation_bytes(model.network, [&](const Node& node) {
    return quantization.outputs.count(node.name) != 0 ? 1 : kFloatBytes;
  });
  for (const auto& [name, scales] : quantization.weights) {
    const auto weight = model.weights.find(name);
    if (weight == model.weights.end()) continue;
    const int64_t values = element_count(weight->second.shape);
    result.model_bytes -= (kFloatBytes - 1) * values;
    result.model_bytes += kFloatBytes * static_cast<int64_t>(scales.size());
  }
  return result;
}

}  // namespace lathe::network
