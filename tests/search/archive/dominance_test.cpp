#include "search/archive/dominance.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "core/rng.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

/// Points on a coarse grid, so that ties and equal points are common.
std::vector<Objectives> grid_points(Rng& rng, size_t count, size_t objectives, uint64_t levels) {
  std::vector<Objectives> points(count, Objectives(objectives));
  for (Objectives& point : points) {
    for (double& value : point) value = static_cast<double>(rng.below(levels));
  }
  return points;
}

/// Straight from the definition.
std::vector<size_t> by_definition(const std::vector<Objectives>& points) {
  std::vector<size_t> kept;
  for (size_t i = 0; i < points.size(); ++i) {
    bool dominated = false;
    for (const Objectives& other : points) {
      bool no_worse = true;
      bool better = false;
      for (size_t k = 0; k < other.size(); ++k) {
        no_worse = no_worse && other[k] <= points[i][k];
        better = better || other[k] < points[i][k];
      }
      dominated = dominated || (no_worse && better);
    }
    if (!dominated) kept.push_back(i);
  }
  return kept;
}

TEST_CASE("dominates compares as defined") {
  CHECK(dominates({1, 2}, {1, 3}));
  CHECK(dominates({1, 2}, {2, 3}));
  CHECK_FALSE(dominates({1, 2}, {1, 2}));
  CHECK_FALSE(dominates({1, 3}, {2, 2}));
  CHECK(message_of<InvariantError>([] {
          (void)dominates({1}, {1, 2});
        }) == "dominates: 1 and 2 objectives, expected equal numbers");
}

TEST_CASE("non_dominated agrees with the definition in 1 to 4 dimensions and keeps equal points") {
  Rng rng(11);
  for (const size_t objectives : {1U, 2U, 3U, 4U}) {
    for (int round = 0; round < 100; ++round) {
      const auto points = grid_points(rng, 1 + rng.below(40), objectives, 2 + rng.below(8));
      CHECK(non_dominated(points) == by_definition(points));
    }
  }
  CHECK(non_dominated({}).empty());
  CHECK(non_dominated({{1, 2}, {1, 2}, {2, 1}, {2, 2}}) == std::vector<size_t>{0, 1, 2});
}

TEST_CASE("non_dominated_fronts peels front after front") {
  Rng rng(12);
  for (const size_t objectives : {1U, 2U, 3U}) {
    for (int round = 0; round < 50; ++round) {
      const auto points = grid_points(rng, 1 + rng.below(40), objectives, 2 + rng.below(6));
      std::vector<size_t> left(points.size());
      for (size_t i = 0; i < left.size(); ++i) left[i] = i;
      const auto fronts = non_dominated_fronts(points);
      for (const auto& front : fronts) {
        std::vector<Objectives> remaining;
        for (const size_t i : left) remaining.push_back(points[i]);
        std::vector<size_t> expected;
        for (const size_t i : by_definition(remaining)) expected.push_back(left[i]);
        CHECK(front == expected);
        for (const size_t i : expected) left.erase(std::find(left.begin(), left.end(), i));
      }
      CHECK(left.empty());
    }
  }
}

TEST_CASE("crowding_distances by hand") {
  const double infinity = std::numeric_limits<double>::infinity();
  // Second point: (3 - 0) / 4 + (4 - 1) / 4; third: (4 - 1) / 4 + (3 - 0) / 4.
  const auto distances = crowding_distances({{0, 4}, {1, 3}, {3, 1}, {4, 0}});
  CHECK(distances[0] == infinity);
  CHECK(distances[1] == doctest::Approx(0.75 + 0.75));
  CHECK(distances[2] == doctest::Approx(0.75 + 0.75));
  CHECK(distances[3] == infinity);
  // The constant objective adds nothing and makes no ends.
  const auto constant = crowding_distances({{0, 1}, {1, 1}, {4, 1}});
  CHECK(constant[1] == doctest::Approx(1.0));
  CHECK(crowding_distances({{2, 2}, {2, 2}}) == std::vector<double>{0.0, 0.0});
  CHECK(crowding_distances({}).empty());
}

TEST_CASE("values that are not finite and unequal sizes are refused by index") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] {
          (void)non_dominated({{1, 2}, {1, nan}});
        }) == "non_dominated: point 1, objective 1 = nan, expected a finite number");
  CHECK(message_of<InvariantError>([&] {
          (void)non_dominated_fronts({{1, 2}, {1}});
        }) == "non_dominated_fronts: point 1 has 1 objectives, expected 2");
}

}  // namespace
}  // namespace lathe::search
