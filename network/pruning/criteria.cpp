#include "network/pruning/criteria.h"

#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "core/rng.h"
#include "core/text.h"
#include "network/cost.h"
#include "network/pruning/prune.h"

namespace lathe::network {
namespace {

constexpr std::array<std::pair<PruneCriterion, const char*>, 9> kNames = {{
    {PruneCriterion::L1, "l1"},
    {PruneCriterion::L2, "l2"},
    {PruneCriterion::BnScale, "bn_scale"},
    {PruneCriterion::Random, "random"},
    {PruneCriterion::MeanActivation, "mean_activation"},
    {PruneCriterion::Apoz, "apoz"},
    {PruneCriterion::Entropy, "entropy"},
    {PruneCriterion::Taylor, "taylor"},
    {PruneCriterion::Fisher, "fisher"},
}};

/// What each output channel of one node counts; empty for nodes that the criterion does not look
/// at.
std::vector<double> channel_values(const Node& node, const Weights& weights,
                                   PruneCriterion criterion) {
  const bool normalises = std::holds_alternative<BatchNorm>(node.op);
  const bool filters =
      std::holds_alternative<Conv2d>(node.op) || std::holds_alternative<Linear>(node.op);
  if (criterion == PruneCriterion::BnScale ? !normalises : !filters) return {};
  const std::vector<float>& values = weights.at(node.parameters[0].name).values;
  std::vector<double> sums(static_cast<size_t>(node.shape[1]), 0.0);
  const size_t each = values.size() / sums.size();
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = std::abs(double{values[i]});
    sums[i / each] += criterion == PruneCriterion::L2 ? value * value : value;
  }
  if (criterion == PruneCriterion::L2) {
    for (double& sum : sums) sum = std::sqrt(sum);
  }
  return sums;
}

std::vector<double> random_scores(const ChannelGroup& group, Rng rng) {
  std::vector<double> scores;
  for (size_t u = 0; u < group.units.size(); ++u) scores.push_back(rng.uniform());
  return scores;
}

}  // namespace

const char* to_string(PruneCriterion criterion) {
  for (const auto& [known, name] : kNames) {
    if (known == criterion) return name;
  }
  throw InvariantError("PruneCriterion = " + std::to_string(static_cast<int>(criterion)) +
                       ", expected a known criterion");
}

const std::vector<std::string>& prune_criterion_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& entry : kNames) all.emplace_back(entry.second);
    return all;
  }();
  return names;
}

PruneCriterion prune_criterion_from_string(const std::string& name) {
  for (const auto& [criterion, known] : kNames) {
    if (name == known) return criterion;
  }
  throw ConfigError("criterion = " + name + ", expected one of " +
                    join(prune_criterion_names(), ", "));
}

bool needs_images(PruneCriterion criterion) {
  return criterion != PruneCriterion::L1 && criterion != PruneCriterion::L2 &&
         criterion != PruneCriterion::BnScale && criterion != PruneCriterion::Random;
}

ChannelScores weight_scores(const Model& model, const std::vector<ChannelGroup>& groups,
                            PruneCriterion criterion, uint64_t seed) {
  if (needs_images(criterion)) {
    throw InvariantError(std::string("weight_scores: criterion = ") + to_string(criterion) +
                         ", expected one that needs no images");
  }
  check_weights(model.network, model.weights);
  const Rng root = Rng(seed).derive("prune");
  std::map<NodeId, std::vector<double>> values;
  ChannelScores scores(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    if (criterion == PruneCriterion::Random) {
      scores[g] = random_scores(groups[g], root.derive(groups[g].name));
      continue;
    }
    bool judged = false;
    for (const NodeId id : groups[g].nodes) {
      if (values.count(id) == 0)
        values[id] = channel_values(model.network.node(id), model.weights, criterion);
      judged = judged || !values[id].empty();
    }
    if (!judged) continue;
    for (const CoupledChannels& unit : groups[g].units) {
      double sum = 0.0;
      for (const Channel& channel : unit) {
        const std::vector<double>& of_node = values[channel.node];
        if (!of_node.empty()) sum += of_node[static_cast<size_t>(channel.index)];
      }
      scores[g].push_back(sum);
    }
  }
  return scores;
}

std::vector<int64_t> macs_of_units(const Network& network,
                                   const std::vector<ChannelGroup>& groups) {
  const int64_t all = cost(network).macs;
  std::vector<int64_t> saved;
  for (const ChannelGroup& group : groups) {
    saved.push_back(all - cost(prune(network, {group.units[0][0]})).macs);
  }
  return saved;
}

}  // namespace lathe::network
