#include "supernet/executor/plan.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "core/error.h"

namespace lathe::supernet {
namespace {

using network::ActivationKind;
using network::Node;
using network::NodeId;

/// Returns the activation that the node itself carries.
ActivationKind carried_activation(const network::Operator& op) {
  if (const auto* conv = std::get_if<network::Conv2d>(&op)) return conv->activation;
  if (const auto* linear = std::get_if<network::Linear>(&op)) return linear->activation;
  if (const auto* add = std::get_if<network::Add>(&op)) return add->activation;
  return ActivationKind::Identity;
}

/// Adds the steps of one network to a plan that may hold them already.
class PlanWriter {
 public:
  explicit PlanWriter(Plan& plan) : plan_(plan) {}

  /// `digests` is empty for a plan of one network. Returns the step of every node.
  std::vector<int> add(const network::Network& network, const std::vector<network::Digest>& digests,
                       size_t result) {
    const std::vector<int> uses = network.use_counts();
    std::vector<int> step_of(network.nodes().size(), -1);
    for (const Node& node : network.nodes()) {
      if (step_of[index(node.id)] >= 0) continue;  // joined to the node before it
      const Node* last = &node;
      ActivationKind activation = carried_activation(node.op);
      if (const Node* next = following_activation(network, node, uses);
          next && activation == ActivationKind::Identity) {
        activation = std::get<network::Activation>(next->op).kind;
        last = next;
      }
      const network::Digest digest = digests.empty() ? network::Digest{} : digests[index(last->id)];
      const int step = find_or_add(node, *last, activation, digest, step_of, !digests.empty());
      step_of[index(node.id)] = step_of[index(last->id)] = step;
    }
    plan_.results[result] = step_of[index(network.output())];
    ++plan_.steps[index(plan_.results[result])].uses;
    return step_of;
  }

 private:
  static size_t index(int id) { return static_cast<size_t>(id); }

  static const Node* following_activation(const network::Network& network, const Node& node,
                                          const std::vector<int>& uses) {
    if (uses[index(node.id)] != 1 || node.id == network.output()) return nullptr;
    if (std::holds_alternative<network::Activation>(node.op) ||
        std::holds_alternative<network::Input>(node.op)) {
      return nullptr;
    }
    for (size_t i = index(node.id) + 1; i < network.nodes().size(); ++i) {
      const Node& next = network.nodes()[i];
      if (std::find(next.inputs.begin(), next.inputs.end(), node.id) == next.inputs.end()) continue;
      return std::holds_alternative<network::Activation>(next.op) ? &next : nullptr;
    }
    return nullptr;
  }

  int find_or_add(const Node& node, const Node& last, ActivationKind activation,
                  const network::Digest& digest, const std::vector<int>& step_of, bool merge) {
    if (merge) {
      const auto found = by_digest_.find(digest);
      if (found != by_digest_.end()) return found->second;
    }
    Step step;
    step.op = node.op;
    step.activation = activation;
    step.parameters = node.parameters;
    for (const NodeId input : node.inputs) {
      step.inputs.push_back(step_of[index(input)]);
      ++plan_.steps[index(step.inputs.back())].uses;
    }
    step.shape = last.shape;
    step.digest = digest;
    step.name = node.name;
    const int id = static_cast<int>(plan_.steps.size());
    plan_.steps.push_back(std::move(step));
    if (merge) by_digest_.emplace(digest, id);
    return id;
  }

  Plan& plan_;
  std::unordered_map<network::Digest, int, network::DigestHash> by_digest_;
};

}  // namespace

int64_t Plan::peak_bytes(int64_t batch) const {
  std::vector<int> left;
  left.reserve(steps.size());
  for (const Step& step : steps) left.push_back(step.uses);
  const auto bytes = [batch](const Step& step) {
    return network::element_count(step.shape) * batch * static_cast<int64_t>(sizeof(float));
  };
  int64_t live = 0;
  int64_t peak = 0;
  for (size_t s = 0; s < steps.size(); ++s) {
    live += bytes(steps[s]);
    peak = std::max(peak, live);
    for (const int input : steps[s].inputs) {
      if (--left[static_cast<size_t>(input)] == 0) live -= bytes(steps[static_cast<size_t>(input)]);
    }
    const auto is_result =
        static_cast<int>(std::count(results.begin(), results.end(), static_cast<int>(s)));
    left[s] -= is_result;  // a result is read as soon as it is there
    if (left[s] == 0) live -= bytes(steps[s]);
  }
  return peak;
}

Plan make_plan(const network::Network& network) { return make_plan(network, {}); }

Plan make_plan(const network::Network& network, const std::vector<NodeId>& also) {
  Plan plan;
  plan.results.resize(1);
  const std::vector<int> step_of = PlanWriter(plan).add(network, {}, 0);
  for (const NodeId node : also) {
    plan.results.push_back(step_of.at(static_cast<size_t>(node)));
    ++plan.steps[static_cast<size_t>(plan.results.back())].uses;
  }
  return plan;
}

Plan make_forest(const std::vector<const network::Network*>& networks) {
  std::vector<std::vector<network::Digest>> digests;
  digests.reserve(networks.size());
  for (const network::Network* network : networks) {
    digests.push_back(network::node_digests(*network, network::DigestKind::Computation));
  }
  std::vector<size_t> order(networks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return digests[a] < digests[b]; });
  Plan plan;
  plan.results.resize(networks.size());
  PlanWriter writer(plan);
  for (const size_t n : order) writer.add(*networks[n], digests[n], n);
  return plan;
}

}  // namespace lathe::supernet
