#include "search/strategy/scaling_grid.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

// From the smallest, factors up to 2 give depths of 1 and 2 blocks; widths of 8 and 16 or 16 and 24
// channels; sides of 16, 24 and 32 pixels.
const char* kSteps = R"(
name: steps
input: {resolution: [16, 24, 32]}
classes: 10
stem: {width: [8, 16, 24]}
stages: [{block: mbconv, depth: [1, 2, 3, 4], width: [16, 24, 40], kernel: [3, 5], expand: 2, stride: 2}]
)";

TEST_CASE("scaling_grid holds every architecture once, by the factors that it comes to") {
  const auto space = space_from(kSteps);
  const auto grid = scaling_grid(*space, space->smallest(), 2.0);
  const double wide = std::sqrt(2.0 * 1.5);
  const std::vector<ScaleFactors> expected = {
      {1, 1, 1.5}, {1, 1, 2}, {1, wide, 1}, {1, wide, 1.5}, {1, wide, 2}, {2, 1, 1},
      {2, 1, 1.5}, {2, 1, 2}, {2, wide, 1}, {2, wide, 1.5}, {2, wide, 2}};
  REQUIRE(grid.size() == expected.size());
  std::set<Architecture> distinct = {space->smallest()};
  for (size_t i = 0; i < grid.size(); ++i) {
    CAPTURE(i);
    for (const ScaleFactors& factors : {grid[i].asked, grid[i].realised}) {
      CHECK(factors.depth == doctest::Approx(expected[i].depth));
      CHECK(factors.width == doctest::Approx(expected[i].width));
      CHECK(factors.resolution == doctest::Approx(expected[i].resolution));
    }
    CHECK(scale_within(*space, space->smallest(), grid[i].asked) == grid[i].architecture);
    CHECK(distinct.insert(grid[i].architecture).second);
  }
}

TEST_CASE("Nothing can be made of the largest architecture") {
  const auto space = space_from(kSteps);
  CHECK(scaling_grid(*space, space->largest(), 4.0).empty());
}

TEST_CASE("spread_points takes the farthest point again and again") {
  const auto space = space_from(kSteps);
  const auto grid = scaling_grid(*space, space->smallest(), 2.0);
  CHECK(expected_cost({2.0, 3.0, 0.5}) == doctest::Approx(4.5));
  // Of expected cost up to 4: 24 px (2.25), 32 px (4), wide (3) and deep (2), at indices 0, 1, 2
  // and 5. Their logarithms from the baseline are 0.81, 1.39, 1.10 and 0.69; 24 px lies between.
  CHECK(spread_points(grid, 1, 4.0) == std::vector<size_t>{1});
  CHECK(spread_points(grid, 2, 4.0) == std::vector<size_t>{1, 2});
  CHECK(spread_points(grid, 3, 4.0) == std::vector<size_t>{1, 2, 5});
  CHECK(spread_points(grid, 4, 4.0) == std::vector<size_t>{0, 1, 2, 5});
  CHECK(spread_points(grid, 9, 4.0) == std::vector<size_t>{0, 1, 2, 5});
  CHECK(spread_points(grid, 0, 4.0).empty());
  CHECK(spread_points(grid, 3, 1.5).empty());
}

}  // namespace
}  // namespace lathe::search
