#pragma once

#include <functional>

#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// Runs `work` in the one of the started processes that leads (rank 0, or the only one), with the
/// group that it shares its supernet's work with (null for a process alone), and lets the others
/// help until it ends. `options` is called only where there are several processes. An exception of
/// one stops all. \throws what `work` throws; ConfigError as
/// supernet::read_launch(); PeerError.
void with_group(const search::SearchSpace& space,
                const std::function<supernet::SupernetOptions()>& options,
                const std::function<void(supernet::Group*)>& work);

}  // namespace lathe::cli
