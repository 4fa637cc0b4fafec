#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/pruning/criteria.h"

namespace lathe::network {

enum class PruneRanking {
  Local,   ///< every group loses the same share
  Global,  ///< the least important units of the whole network go first
};
const char* to_string(PruneRanking ranking);
PruneRanking prune_ranking_from_string(const std::string& name);

/// How the units of all groups are put into one order.
struct RemovalOptions {
  PruneRanking ranking = PruneRanking::Global;
  /// Every convolution keeps a multiple of so many channels. Engines compute output channels in
  /// tiles (XNNPACK's float matrix products: 8 in NEON, 16 in AVX), and a remainder costs nearly a
  /// whole tile. A layer that is no multiple becomes one first; one that is no wider stays.
  int64_t channel_multiple = 8;
  /// Divide a group's scores by their root mean square before groups are compared, because layers'
  /// scores differ in scale (Molchanov et al., 2017). Not for scores that are per MAC already.
  bool normalise_layers = true;
};

/// One step: units of one group that go together so that its layers stay a multiple wide.
struct RemovalStep {
  size_t group = 0;
  std::vector<size_t> units;
};

/// Returns the steps in which channels go, least important first. Any number of first steps leaves
/// a valid network; each group keeps its last multiple. Ties go to the earlier group.
/// \throws InvariantError if the scores do not belong to the groups, are not finite, or the
/// multiple is less than 1.
std::vector<RemovalStep> removal_order(const Network& network,
                                       const std::vector<ChannelGroup>& groups,
                                       const ChannelScores& scores, const RemovalOptions& options);

/// Returns one channel of every unit in the first `count` steps: what prune() takes.
std::vector<Channel> channels_of_steps(const std::vector<ChannelGroup>& groups,
                                       const std::vector<RemovalStep>& steps, size_t count);

}  // namespace lathe::network
