#include "network/pruning/removal_order.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace lathe::network {
namespace {

void check(const std::vector<ChannelGroup>& groups, const ChannelScores& scores,
           const RemovalOptions& options) {
  if (options.channel_multiple < 1) {
    throw InvariantError("removal_order: channel_multiple = " +
                         std::to_string(options.channel_multiple) + ", expected at least 1");
  }
  if (scores.size() != groups.size()) {
    throw InvariantError("removal_order: scores of " + std::to_string(scores.size()) +
                         " groups, expected " + std::to_string(groups.size()));
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    if (scores[g].empty()) continue;
    if (scores[g].size() != groups[g].units.size()) {
      throw InvariantError("removal_order: group " + groups[g].name + ": " +
                           std::to_string(scores[g].size()) + " scores, expected " +
                           std::to_string(groups[g].units.size()));
    }
    for (const double score : scores[g]) {
      if (std::isfinite(score)) continue;
      throw InvariantError("removal_order: group " + groups[g].name +
                           ": score = " + std::to_string(score) + ", expected a finite number");
    }
  }
}

/// Returns how many units go at once so that every convolution of the group stays a multiple wide.
size_t units_of_step(const Network& network, const ChannelGroup& group, int64_t multiple) {
  std::map<NodeId, int64_t> channels;  // that a unit has in each convolution
  for (const Channel& channel : group.units[0]) {
    const Operator& op = network.node(channel.node).op;
    if (std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op))
      ++channels[channel.node];
  }
  int64_t common = 0;
  for (const auto& [node, count] : channels) common = std::gcd(common, count);
  return static_cast<size_t>(multiple / std::gcd(multiple, common));
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

struct RankedStep {
  double rank = 0.0;
  RemovalStep step;
};

void add_steps(size_t index, const std::vector<double>& scores, size_t at_once,
               const RemovalOptions& options, std::vector<RankedStep>& all) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  const double scale = options.normalise_layers ? root_mean_square(scores) : 1.0;
  double before = 0.0;
  size_t begin = 0;
  size_t end = order.size() % at_once == 0 ? at_once : order.size() % at_once;
  while (end < order.size()) {
    RankedStep next;
    next.step.group = index;
    double sum = 0.0;
    for (size_t i = begin; i < end; ++i) {
      next.step.units.push_back(order[i]);
      sum += scores[order[i]];
    }
    const double mean = sum / static_cast<double>(end - begin);
    if (options.ranking == PruneRanking::Local) {
      next.rank = static_cast<double>(end) / static_cast<double>(order.size());
    } else if (scale > 0.0) {
      next.rank = mean / scale;
    }
    if (begin > 0) next.rank = std::max(next.rank, before);  // rounding must not turn steps around
    before = next.rank;
    all.push_back(std::move(next));
    begin = end;
    end += at_once;
  }
}

}  // namespace

const char* to_string(PruneRanking ranking) {
  return ranking == PruneRanking::Local ? "local" : "global";
}

PruneRanking prune_ranking_from_string(const std::string& name) {
  if (name == "local") return PruneRanking::Local;
  if (name == "global") return PruneRanking::Global;
  throw ConfigError("ranking = " + name + ", expected one of local, global");
}

std::vector<RemovalStep> removal_order(const Network& network,
                                       const std::vector<ChannelGroup>& groups,
                                       const ChannelScores& scores, const RemovalOptions& options) {
  check(groups, scores, options);
  std::vector<RankedStep> ranked;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (scores[g].empty()) continue;
    add_steps(g, scores[g], units_of_step(network, groups[g], options.channel_multiple), options,
              ranked);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedStep& a, const RankedStep& b) { return a.rank < b.rank; });
  std::vector<RemovalStep> steps;
  for (RankedStep& each : ranked) steps.push_back(std::move(each.step));
  return steps;
}

std::vector<Channel> channels_of_steps(const std::vector<ChannelGroup>& groups,
                                       const std::vector<RemovalStep>& steps, size_t count) {
  std::vector<Channel> channels;
  for (size_t s = 0; s < std::min(count, steps.size()); ++s) {
    for (const size_t unit : steps[s].units)
      channels.push_back(groups[steps[s].group].units[unit][0]);
  }
  return channels;
}

}  // namespace lathe::network
