#include "search/archive/hypervolume.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <pagmo/utils/hypervolume.hpp>

#include "core/rng.h"
#include "search/archive/dominance.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

std::vector<Objectives> random_points(Rng& rng, size_t count, size_t objectives) {
  std::vector<Objectives> points(count, Objectives(objectives));
  for (Objectives& point : points) {
    for (double& value : point) value = rng.uniform(0.0, 1.2);
  }
  return points;
}

/// The dominated share of the unit cube, by `draws` random points of it.
double monte_carlo(const std::vector<Objectives>& points, size_t objectives, int draws, Rng& rng) {
  int dominated = 0;
  Objectives probe(objectives);
  for (int i = 0; i < draws; ++i) {
    for (double& value : probe) value = rng.uniform();
    for (const Objectives& point : points) {
      bool covers = true;
      for (size_t k = 0; k < objectives; ++k) covers = covers && point[k] <= probe[k];
      if (covers) {
        ++dominated;
        break;
      }
    }
  }
  return static_cast<double>(dominated) / draws;
}

TEST_CASE("hypervolume by hand") {
  CHECK(hypervolume({}, {1, 1}) == 0.0);
  CHECK(hypervolume({{0.25}, {0.5}}, {1}) == 0.75);
  CHECK(hypervolume({{0, 0}}, {2, 3}) == 6.0);
  CHECK(hypervolume({{1, 3}, {2, 2}, {3, 1}}, {4, 4}) == 6.0);
  // A dominated, an equal and two points outside the box change nothing.
  CHECK(hypervolume({{1, 3}, {2, 2}, {3, 1}, {3, 3}, {2, 2}, {4, 0}, {0, 9}}, {4, 4}) == 6.0);
  CHECK(hypervolume({{0, 0, 0}}, {2, 3, 4}) == 24.0);
  CHECK(hypervolume({{0, 1, 1}, {1, 0, 1}, {1, 1, 0}}, {2, 2, 2}) == 4.0);
  CHECK(hypervolume_fraction({{1, 3}, {2, 2}, {3, 1}}, {4, 4}, {0, 0}) == 6.0 / 16.0);
}

TEST_CASE("hypervolume agrees with Monte-Carlo in 2 to 4 dimensions") {
  Rng rng(21);
  constexpr int kDraws = 40000;
  for (const size_t objectives : {2U, 3U, 4U}) {
    for (int round = 0; round < 5; ++round) {
      const auto points = random_points(rng, 12, objectives);
      const double exact = hypervolume(points, Objectives(objectives, 1.0));
      const double sampled = monte_carlo(points, objectives, kDraws, rng);
      const double deviation = std::sqrt(exact * (1.0 - exact) / kDraws);
      CHECK(std::abs(exact - sampled) <= 5.0 * deviation + 1e-9);
    }
  }
}

TEST_CASE("the two-dimensional sweep agrees with pagmo to rounding") {
  Rng rng(22);
  for (int round = 0; round < 200; ++round) {
    std::vector<Objectives> inside;
    for (const Objectives& point : random_points(rng, 30, 2)) {
      if (point[0] < 1.0 && point[1] < 1.0) inside.push_back(point);
    }
    if (inside.empty()) continue;
    std::vector<Objectives> front;
    for (const size_t i : non_dominated(inside)) front.push_back(inside[i]);
    CHECK(hypervolume(inside, {1, 1}) ==
          doctest::Approx(pagmo::hypervolume(front, true).compute({1.0, 1.0})).epsilon(1e-12));
  }
}

TEST_CASE("hypervolume refuses what has no volume, by name") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] {
          (void)hypervolume({{0, nan}}, {1, 1});
        }) == "hypervolume: point 0, objective 1 = nan, expected a finite number");
  CHECK(message_of<InvariantError>([&] {
          (void)hypervolume({{0, 0}}, {1, nan});
        }) == "hypervolume reference: point 0, objective 1 = nan, expected a finite number");
  CHECK(message_of<InvariantError>([] {
          (void)hypervolume({{0, 0, 0}}, {1, 1});
        }) == "hypervolume: point 0 has 3 objectives, expected 2");
  CHECK(message_of<InvariantError>([] {
          (void)hypervolume_fraction({}, {1, 0}, {0, 0});
        }) ==
        "hypervolume: objective 1, ideal = 0.000000, expected less than the reference 0.000000");
}

}  // namespace
}  // namespace lathe::search
