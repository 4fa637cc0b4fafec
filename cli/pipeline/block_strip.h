#pragma once

#include <vector>

#include "cli/report/front_network.h"
#include "network/network.h"
#include "search/space/search_space.h"

namespace lathe::cli {

/// Returns the blocks of an architecture's network in order, as the report draws them: nodes are
/// grouped by the part of their name before the block's inner names ("stem", "stage2.block0",
/// "head", "classifier"). `network` is as the space lowers it, or deployed, or with fewer channels.
std::vector<report::Block> block_strip(const search::SearchSpace& space,
                                       const search::Architecture& architecture,
                                       const network::Network& network);

}  // namespace lathe::cli
