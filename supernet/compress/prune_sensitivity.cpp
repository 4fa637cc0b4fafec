#include "supernet/compress/prune_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "network/cost.h"
#include "network/pruning/prune.h"

namespace lathe::supernet {
namespace {

/// Returns one channel of each of the `count` units with the lowest scores.
std::vector<network::Channel> least_important(const network::ChannelGroup& group,
                                              const std::vector<double>& scores, size_t count) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  std::vector<network::Channel> channels;
  for (size_t i = 0; i < count; ++i) channels.push_back(group.units[order[i]][0]);
  return channels;
}

}  // namespace

std::vector<PruneSensitivity> prune_sensitivity(Supernet& supernet, const network::Model& model,
                                                const Supernet::ChannelScoreOptions& scoring,
                                                const std::vector<double>& shares,
                                                Progress& progress) {
  const std::vector<network::ChannelGroup> groups = network::find_channel_groups(model.network);
  const network::ChannelScores scores = supernet.channel_scores(model, groups, scoring);
  const double whole = supernet.calibrate(model).validation.top1;
  std::vector<PruneSensitivity> rows;
  progress.begin("prune one by one", static_cast<int64_t>(groups.size()), "layer");
  for (size_t g = 0; g < groups.size(); ++g) {
    progress.update(static_cast<int64_t>(g) + 1, groups[g].name);
    if (scores[g].empty()) continue;
    const auto units = static_cast<int64_t>(groups[g].units.size());
    PruneSensitivity row{groups[g].name, units, {}};
    for (const double share : shares) {
      const auto asked = static_cast<int64_t>(std::llround(share * static_cast<double>(units)));
      const int64_t removed = std::min(std::max<int64_t>(asked, 0), units - 1);
      const network::Model pruned = network::prune(
          model, least_important(groups[g], scores[g], static_cast<size_t>(removed)));
      const double drop = whole - supernet.calibrate(pruned).validation.top1;
      row.points.push_back({share, removed, network::cost(pruned.network).macs, drop});
    }
    rows.push_back(std::move(row));
  }
  progress.end();
  return rows;
}

}  // namespace lathe::supernet
