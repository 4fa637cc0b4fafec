#pragma once

#include "search/space/staged_space.h"

namespace lathe::search {

/// Factors of compound scaling (Tan and Le, 2019).
struct ScaleFactors {
  double depth = 1.0;       ///< blocks of a stage: ceil(depth * blocks), more of its last block
  double width = 1.0;       ///< channels of stem, stages and head: make_divisible(width * channels)
  double resolution = 1.0;  ///< of the image: to the nearest pixel

  bool operator==(const ScaleFactors& o) const {
    return depth == o.depth && width == o.width && resolution == o.resolution;
  }
};

/// Returns a space that holds one architecture only: `architecture` of `space` with its sizes
/// multiplied. Every block stands in a stage of its own, so names of nodes and parameters differ
/// from the space's. Factors of 1 keep the network as it is, except for its names. \throws
/// InvariantError if a factor is not positive and finite or `architecture` is not of the space;
/// ConfigError if a family cannot be built at the scaled widths.
StagedSpec scale(const StagedSpace& space, const Architecture& architecture,
                 const ScaleFactors& factors);

/// Returns the architecture of `space` itself that comes nearest to `architecture` with its sizes
/// multiplied: what each size would be is reckoned as scale() does, then the nearest choice of its
/// gene is taken, of two equally near ones the smaller. Blocks that a stage gains are copies of its
/// last one; other genes stay. Canonical. A space has few choices: many factors give one
/// architecture, and none is larger than the space. \throws InvariantError as scale().
Architecture scale_within(const StagedSpace& space, const Architecture& architecture,
                          const ScaleFactors& factors);

/// Returns by what `scaled` is larger than `base`, both of `space`: depth is the ratio of their
/// numbers of blocks, width the geometric mean of the ratios of stem, stages and head, resolution
/// the ratio of the images' sides. \throws InvariantError if one is not of the space.
ScaleFactors factors_between(const StagedSpace& space, const Architecture& base,
                             const Architecture& scaled);

}  // namespace lathe::search
