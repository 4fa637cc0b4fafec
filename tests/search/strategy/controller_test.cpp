#include "search/strategy/controller.h"

#include <doctest/doctest.h>

#include <set>

#include "search/archive/dominance.h"
#include "tests/search/strategy/controller_bench.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::ControllerBench;
using test::fingerprint;
using test::message_of;
using test::never;
using test::small_search;

TEST_CASE(
    "SearchController uses its budget on distinct candidates and returns their feasible front") {
  ControllerBench bench;
  const SearchOptions options = small_search(60);
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.complete);
  REQUIRE(outcome.evaluated.size() == 60);
  std::set<Architecture> distinct;
  std::vector<Objectives> feasible;
  std::vector<size_t> indices;
  for (size_t i = 0; i < outcome.evaluated.size(); ++i) {
    const Evaluated& evaluated = outcome.evaluated[i];
    CHECK(evaluated.candidate.index == static_cast<int64_t>(i));
    CHECK(evaluated.candidate.network == nullptr);
    distinct.insert(evaluated.candidate.architecture);
    CHECK(evaluated.metrics.at(parse_metric("params")).value <= 4000);
    if (options.problem.violation(evaluated.metrics) > 0.0) continue;
    feasible.push_back(options.problem.minimised(evaluated.metrics));
    indices.push_back(i);
  }
  CHECK(distinct.size() == 60);
  std::vector<size_t> front;
  for (const size_t i : non_dominated(feasible)) front.push_back(indices[i]);
  CHECK(outcome.front == front);
  CHECK(front.size() > 3);
  CHECK(outcome.board_time_s == doctest::Approx(30.0));
  REQUIRE(outcome.generations.size() == 10);
  for (size_t g = 1; g < outcome.generations.size(); ++g) {
    CHECK(outcome.generations[g].index == static_cast<int64_t>(g));
    CHECK(outcome.generations[g].evaluations == 6 * static_cast<int64_t>(g + 1));
    CHECK(outcome.generations[g].hypervolume >= outcome.generations[g - 1].hypervolume);
  }
  for (const auto& [architecture, calls] : bench.accuracy.calls()) CHECK(calls == 1);
  for (const auto& [architecture, calls] : bench.pi4.calls) CHECK(calls == 1);
}

TEST_CASE("SearchController gives the same outcome for a seed and another for another seed") {
  ControllerBench a;
  ControllerBench b;
  ControllerBench c;
  const std::string first = fingerprint(a.run(small_search(), 5));
  CHECK(first == fingerprint(b.run(small_search(), 5)));
  CHECK(first != fingerprint(c.run(small_search(), 6)));
}

TEST_CASE("SearchController keeps the hypervolume's reference point of the first generation") {
  ControllerBench bench;
  const SearchOutcome outcome = bench.run(small_search(36));
  Objectives worst = {0.0, 0.0};
  for (size_t i = 0; i < 6; ++i) {
    const Evaluated& evaluated = outcome.evaluated[i];
    worst[0] = std::max(worst[0], 1.0 - evaluated.accuracy->top1);
    worst[1] = std::max(worst[1], evaluated.latencies.at("pi4").median_ms);
  }
  REQUIRE(outcome.reference.size() == 2);
  CHECK(outcome.reference[0] == doctest::Approx(std::min(1.0, 1.1 * worst[0])));
  CHECK(outcome.reference[1] == doctest::Approx(1.1 * worst[1]));

  ControllerBench given;
  SearchOptions options = small_search(12);
  options.reference = {{parse_metric("latency@pi4"), 75.0}, {parse_metric("accuracy"), 0.4}};
  CHECK(given.run(options).reference == Objectives{0.6, 75.0});
}

TEST_CASE("SearchController stops when it is told and goes on later as if it had not") {
  ControllerBench uninterrupted;
  const std::string expected = fingerprint(uninterrupted.run(small_search()));
  ControllerBench bench;
  for (int part = 0; part < 100; ++part) {
    SearchController controller(bench.space, bench.accuracy, {&bench.pi4}, small_search(),
                                bench.journal, 5, bench.clock);
    int questions = 0;
    const SearchOutcome outcome = controller.run(no_progress(), [&] { return ++questions > 3; });
    if (!outcome.complete) continue;
    CHECK(part >= 2);
    CHECK(fingerprint(outcome) == expected);
    for (const auto& [architecture, calls] : bench.accuracy.calls()) CHECK(calls == 1);
    for (const auto& [architecture, calls] : bench.pi4.calls) CHECK(calls == 1);
    return;
  }
  FAIL("the search never ended");
}

TEST_CASE("A finished search can be extended and then equals a longer one") {
  ControllerBench longer;
  const std::string expected = fingerprint(longer.run(small_search(48)));
  ControllerBench bench;
  CHECK(bench.run(small_search(24)).evaluated.size() == 24);
  CHECK(fingerprint(bench.run(small_search(48))) == expected);
}

TEST_CASE("SearchController ends at the board time, with what is in flight finished") {
  ControllerBench bench;
  SearchOptions options = small_search(1000);
  options.budget.board_time_s = 7.0;  // 0.5 s each: 14, rounded up to generations of 6
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.complete);
  CHECK(outcome.evaluated.size() == 18);
}

TEST_CASE("Measurements of earlier runs cost no board time") {
  ControllerBench bench;
  bench.pi4.value = [&](const Candidate& candidate) {
    latency::LatencyEstimate estimate = bench.pi4.estimate(candidate);
    estimate.reused = true;
    return estimate;
  };
  SearchOptions options = small_search(30);
  options.budget.board_time_s = 7.0;
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.evaluated.size() == 30);
  CHECK(outcome.board_time_s == 0.0);
}

TEST_CASE("A space that is exhausted ends the search cleanly and stays so") {
  ControllerBench bench;
  SearchOptions options = small_search(1000);
  options.problem.constraints = {parse_constraint("params <= 150")};
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.complete);
  CHECK(outcome.exhausted);
  // Every architecture that fits was found: counted here one by one.
  std::set<std::string> fitting;
  Rng rng(1);
  for (int i = 0; i < 200000; ++i) {
    const Architecture architecture = bench.space.canonical(bench.space.sample_genes(rng));
    const Metrics counted = counted_metrics(bench.space.lower(architecture));
    if (counted.at(parse_metric("params")).value <= 150) fitting.insert(architecture.to_string());
    if (i > 20000 && fitting.size() == outcome.evaluated.size()) break;
  }
  CHECK(outcome.evaluated.size() == fitting.size());
  CHECK(fingerprint(bench.run(options)) == fingerprint(outcome));
}

TEST_CASE("SearchController refuses what cannot be searched, before anything is evaluated") {
  ControllerBench bench;
  SearchOptions options = small_search();
  options.problem.objectives = {};
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        "/search/objectives: empty, expected at least one objective");
  options = small_search();
  options.problem.objectives[1] = parse_metric("latency@pi5");
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        "/search: latency@pi5, expected a device of the list devices");
  options = small_search();
  options.problem.constraints.push_back(parse_constraint("params <= 10"));
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        "params <= 10: the smallest network of toy has 54; raise the bound or give the space "
        "smaller choices");
  options = small_search();
  options.strategy.name = "magic";
  CHECK(message_of<ConfigError>([&] {
          bench.run(options);
        }).find("search strategy = magic, expected one of nsga2, ") == 0);
  CHECK(bench.accuracy.calls().empty());
  CHECK(bench.pi4.calls.empty());
}

TEST_CASE("SearchController does not go on with another search's journal") {
  ControllerBench bench;
  bench.run(small_search());
  SearchOptions options = small_search();
  options.strategy.population = 8;
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        ":memory:: /search/population = 8, expected 6 as when this search was started");
  CHECK(message_of<ConfigError>([&] { bench.run(small_search(), 6); }) ==
        ":memory:: seed = 6, expected 5 as when this search was started");
}

TEST_CASE("SearchController without accuracy never asks for it") {
  ControllerBench bench;
  SearchOptions options = small_search();
  options.problem.objectives = {parse_metric("params"), parse_metric("latency@pi4")};
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.evaluated.size() == 24);
  CHECK(bench.accuracy.calls().empty());
}

}  // namespace
}  // namespace lathe::search
