#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lathe::cli {

/// A point of the front as the choice sees it.
struct FrontPoint {
  double accuracy = 0.0;  ///< fraction 0..1
  double latency = 0.0;   ///< or any other cost that is to be small
};

/// Returns at most `count` indices of `points`, spread over the front: the most accurate, the one
/// of lowest latency, the knee, then by farthest-point selection in normalised log latency and
/// accuracy, so that no two chosen networks are nearly the same. Ordered by falling accuracy.
/// Deterministic; ties go to the lower index.
std::vector<size_t> select_spread(const std::vector<FrontPoint>& points, size_t count);

/// Returns the index of the knee: the point farthest above the chord from the fastest to the most
/// accurate, in normalised log latency and accuracy. With fewer than three points, the most
/// accurate. \throws InvariantError if `points` is empty.
size_t knee(const std::vector<FrontPoint>& points);

/// Returns the roles of each point: "most accurate", "fastest", "knee". A point may have several.
std::vector<std::vector<std::string>> roles(const std::vector<FrontPoint>& points);

}  // namespace lathe::cli
