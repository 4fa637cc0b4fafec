#pragma once

#include "network/network.h"
#include "supernet/weights/shared_weights.h"

namespace lathe::supernet {

/// Reorders the inner channels of every block of `largest` so that the most important come first,
/// where narrower networks keep them: by the L1 norm of the weights that the block's last layer
/// reads them with (Cai et al., Once-for-All, 2020). `largest` computes what it computed before.
/// Channels that several blocks share stay where they are. Returns how many tensors' dimensions were
/// reordered.
int64_t sort_channels(const network::Network& largest, SharedWeights& weights);

}  // namespace lathe::supernet
