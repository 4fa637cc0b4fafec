#include "search/strategy/aging_evolution.h"

#include <doctest/doctest.h>

#include <set>

#include "search/archive/hypervolume.h"
#include "tests/search/strategy/search_fixture.h"
#include "tests/search/strategy/strategy_bench.h"

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::never;
using test::small_search;
using test::StrategyBench;
using test::ToySpace;

/// In how many of the genes that matter to both the two differ.
int differences(const ToySpace& space, const Architecture& a, const Architecture& b) {
  const std::vector<bool> in_a = space.active(a);
  const std::vector<bool> in_b = space.active(b);
  int count = 0;
  for (size_t gene = 0; gene < in_a.size(); ++gene) {
    if (in_a[gene] && in_b[gene] && a.genes[gene] != b.genes[gene]) ++count;
  }
  return count;
}

/// Runs steadily, one candidate at a time, each worth less than the one before, so that the oldest
/// of the population is its best; a tournament of many finds it. Checks that each child is one
/// mutation away from it.
void check_parents(bool failures) {
  StrategyBench bench("aging_evolution");
  bench.options.sample = 200;
  bench.options.mutation_probability = 1e-9;  // then exactly one gene is forced to change
  bench.make();
  for (int64_t i = 0; i < 60; ++i) {
    const auto asked = bench.strategy->ask(1);
    REQUIRE(asked.size() == 1);
    const Architecture& child = asked[0].candidate.architecture;
    if (i >= 12) {
      std::vector<int64_t> alive;
      for (int64_t k = i - 1; k >= 0 && alive.size() < 8; --k) {
        if (bench.history[static_cast<size_t>(k)].ok()) alive.push_back(k);
      }
      const auto oldest = static_cast<size_t>(alive.back());
      CAPTURE(i);
      CHECK(differences(bench.space, bench.history[oldest].candidate.architecture, child) <= 1);
    }
    Evaluated evaluated = bench.evaluated(asked[0], !failures || i % 3 != 1);
    const double top1 = 0.9 - 0.01 * static_cast<double>(i);
    if (evaluated.ok()) evaluated.metrics[parse_metric("accuracy")] = {top1, top1, top1};
    evaluated.metrics[parse_metric("macs")] = {5.0, 5.0, 5.0};
    bench.history.push_back(evaluated);
    bench.strategy->tell(bench.history.back());
  }
}

TEST_CASE("AgingEvolution's parents are the best of the youngest, however good the older were") {
  SUBCASE("all have values") { check_parents(false); }
  SUBCASE("every third fails and is never a parent") { check_parents(true); }
}

TEST_CASE("AgingEvolution survives a first generation in which everything fails") {
  StrategyBench bench("aging_evolution");
  for (int g = 0; g < 4; ++g) {
    CHECK(bench.generation([g](const Candidate&) { return g > 1; }).size() == 8);
  }
}

TEST_CASE("AgingEvolution finds a better front than random search with the same evaluations") {
  const auto quality = [](const char* name, uint64_t seed) {
    const ToySpace space;
    FakeAccuracy accuracy;
    FakeLatency pi4("pi4");
    SearchOptions options = small_search(120);
    options.strategy.name = name;
    options.problem.constraints = {};
    Journal journal(":memory:");
    SearchController controller(space, accuracy, {&pi4}, options, journal, seed);
    std::vector<Objectives> points;
    for (const Evaluated& evaluated : controller.run(no_progress(), never).evaluated) {
      points.push_back(options.problem.minimised(evaluated.metrics));
    }
    return hypervolume(points, {1.0, 60.0});
  };
  double aging = 0.0;
  double random = 0.0;
  for (const uint64_t seed : {1U, 2U, 3U, 4U, 5U}) {
    aging += quality("aging_evolution", seed);
    random += quality("random", seed);
  }
  CHECK(aging > random);
}

}  // namespace
}  // namespace lathe::search
