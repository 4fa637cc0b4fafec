#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "supernet/supernet.h"

namespace lathe::supernet {

/// How accuracy suffers when one group of channels alone is pruned, without fine-tuning.
struct PruneSensitivity {
  std::string group;     ///< its first convolution
  int64_t channels = 0;  ///< units that can be removed one by one
  struct Point {
    double share = 0.0;   ///< that was asked for
    int64_t removed = 0;  ///< units, the nearest number; at least one stays
    int64_t macs = 0;     ///< of the network left
    double drop = 0.0;    ///< of top-1 on the validation split; negative: it rose
  };
  std::vector<Point> points;  ///< by share, as given
};

/// Returns a row for each group of the network, in their order: the least important `shares` of its
/// channels go, batch norms are recalibrated, and the accuracy is compared with the whole model's.
/// Groups that the criterion cannot judge are left out.
std::vector<PruneSensitivity> prune_sensitivity(Supernet& supernet, const network::Model& model,
                                                const Supernet::ChannelScoreOptions& scoring,
                                                const std::vector<double>& shares,
                                                Progress& progress);

}  // namespace lathe::supernet
