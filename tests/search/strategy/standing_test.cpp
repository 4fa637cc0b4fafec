#include "search/strategy/standing.h"

#include <doctest/doctest.h>

#include <limits>
#include <set>

#include "search/archive/dominance.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<int64_t> ranks(const std::vector<Objectives>& points,
                           const std::vector<double>& violations) {
  std::vector<int64_t> result;
  for (const Standing& standing : constrained_standings(points, violations))
    result.push_back(standing.rank);
  return result;
}

TEST_CASE("constrained domination by hand") {
  // Three feasible points, the last one dominated; two infeasible ones that would dominate
  // everything.
  CHECK(ranks({{1, 3}, {3, 1}, {4, 4}, {0, 0}, {0.5, 0.5}}, {0, 0, 0, 0.7, 0.2}) ==
        std::vector<int64_t>{0, 0, 1, 3, 2});
  // Equal violations share a rank whatever their objectives.
  CHECK(ranks({{9, 9}, {1, 1}, {5, 5}}, {0.5, 0.5, 0.1}) == std::vector<int64_t>{1, 1, 0});
  CHECK(ranks({}, {}).empty());
  CHECK(message_of<InvariantError>([] {
          constrained_standings({{1, 2}}, {});
        }) == "constrained_standings: 0 violations, expected 1");
  CHECK(message_of<InvariantError>([] {
          constrained_standings({{1, kInfinity}}, {0});
        }) == "non_dominated_fronts: point 0, objective 1 = inf, expected a finite number");
}

TEST_CASE("constrained domination agrees with the pairwise definition") {
  Rng rng(41);
  for (int round = 0; round < 100; ++round) {
    std::vector<Objectives> points;
    std::vector<double> violations;
    for (int i = 0; i < 20; ++i) {
      points.push_back({static_cast<double>(rng.below(6)), static_cast<double>(rng.below(6))});
      violations.push_back(rng.bernoulli(0.5) ? 0.0 : static_cast<double>(rng.below(3) + 1));
    }
    const auto standings = constrained_standings(points, violations);
    const auto beats = [&](size_t a, size_t b) {
      if ((violations[a] == 0.0) != (violations[b] == 0.0)) return violations[a] == 0.0;
      if (violations[a] > 0.0) return violations[a] < violations[b];
      return dominates(points[a], points[b]);
    };
    for (size_t a = 0; a < points.size(); ++a) {
      bool beaten_in_front = false;
      for (size_t b = 0; b < points.size(); ++b) {
        if (beats(a, b)) CHECK(standings[a].rank < standings[b].rank);
        beaten_in_front = beaten_in_front || beats(b, a);
      }
      CHECK((standings[a].rank == 0) == !beaten_in_front);
    }
  }
}

TEST_CASE("select_survivors keeps whole ranks and thins the last one") {
  // A front of five with two neighbours close together: one of the close pair goes first.
  const std::vector<Objectives> points = {{0, 10}, {1, 9}, {1.1, 8.9}, {5, 5}, {10, 0}, {20, 20}};
  CHECK(select_survivors(points, {0, 0, 0, 0, 0, 0}, 6).size() == 6);
  CHECK(select_survivors(points, {0, 0, 0, 0, 0, 0}, 5) == std::vector<size_t>{0, 1, 2, 3, 4});
  const auto four = select_survivors(points, {0, 0, 0, 0, 0, 0}, 4);
  CHECK(std::set<size_t>(four.begin(), four.end()).count(0) == 1);
  CHECK(std::set<size_t>(four.begin(), four.end()).count(3) == 1);
  CHECK(std::set<size_t>(four.begin(), four.end()).count(4) == 1);
  // The dominated feasible point beats the infeasible one.
  CHECK(select_survivors(points, {0, 0, 0, 0, 0.1, 0}, 5) == std::vector<size_t>{0, 1, 2, 3, 5});
  CHECK(select_survivors({}, {}, 3).empty());
}

TEST_CASE("A tournament is won by rank, then by room, then by the first drawn") {
  CHECK(is_better({0, 1.0}, {1, kInfinity}));
  CHECK(is_better({1, 2.0}, {1, 1.0}));
  CHECK_FALSE(is_better({1, 1.0}, {1, 1.0}));
  const std::vector<Standing> standings = {{2, 5.0}, {0, 1.0}, {0, 3.0}, {1, kInfinity}};
  Rng rng(3);
  // Among many drawn the best of all is there.
  CHECK(tournament(standings, 200, rng) == 2);
  CHECK(tournament({{0, 1.0}}, 5, rng) == 0);
  // A single draw is uniform: a quarter each, within five standard deviations of 4000 draws.
  std::vector<int> drawn(4, 0);
  for (int i = 0; i < 4000; ++i) ++drawn[tournament(standings, 1, rng)];
  for (const int times : drawn) CHECK(times == doctest::Approx(1000).epsilon(0.14));
  // Of two draws the best one of all wins unless it is missed twice: 1 - (3/4)^2.
  int best = 0;
  for (int i = 0; i < 4000; ++i) best += tournament(standings, 2, rng) == 2 ? 1 : 0;
  CHECK(best == doctest::Approx(1750).epsilon(0.1));
}

}  // namespace
}  // namespace lathe::search
