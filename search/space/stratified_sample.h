#pragma once

#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "search/space/search_space.h"

namespace lathe::search {

/// Returns `count` distinct architectures spread over the sizes of a space's networks, by rising
/// multiply-accumulates (MACs). The range from the smallest network's MACs to the largest's is cut
/// into `count` strata of equal ratio. Each gives one architecture of random genes; where none of
/// many random ones falls into a stratum, one is led there by random mutations. A stratum that no
/// network lies in is made up for by random architectures from anywhere. \throws ConfigError if the
/// space has fewer than `count` networks, as far as can be found; InvariantError if count < 1.
std::vector<Architecture> stratified_by_macs(const SearchSpace& space, int64_t count, Rng rng);

}  // namespace lathe::search
