#include "search/strategy/surrogate.h"

#include <doctest/doctest.h>

#include <set>

#include "search/archive/hypervolume.h"
#include "tests/search/strategy/search_fixture.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::fingerprint;
using test::message_of;
using test::never;
using test::small_search;
using test::ToySpace;

SearchOptions surrogate_search(int64_t evaluations) {
  SearchOptions options = small_search(evaluations);
  options.strategy.name = "surrogate";
  options.strategy.population = 8;
  options.strategy.pool = 200;
  options.problem.constraints = {};
  return options;
}

SearchOutcome run(const SearchOptions& options, Journal& journal, uint64_t seed = 5) {
  const ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4("pi4");
  FakeLatency pi5("pi5");
  SearchController controller(space, accuracy, {&pi4, &pi5}, options, journal, seed);
  return controller.run(no_progress(), never);
}

double quality(const SearchOutcome& outcome, const Problem& problem) {
  std::vector<Objectives> points;
  for (const Evaluated& evaluated : outcome.evaluated) {
    if (problem.violation(evaluated.metrics) == 0.0)
      points.push_back(problem.minimised(evaluated.metrics));
  }
  return hypervolume(points, {1.0, 60.0});
}

TEST_CASE("Surrogate finds a better front than random search with the same evaluations") {
  double surrogate = 0.0;
  double random = 0.0;
  for (const uint64_t seed : {1U, 2U, 3U}) {
    SearchOptions options = surrogate_search(60);
    Journal first(":memory:");
    surrogate += quality(run(options, first, seed), options.problem);
    options.strategy.name = "random";
    Journal second(":memory:");
    random += quality(run(options, second, seed), options.problem);
  }
  CHECK(surrogate > random);
}

TEST_CASE("Surrogate meets constraints that only a measurement tells") {
  SearchOptions options = surrogate_search(60);
  options.problem.constraints = {parse_constraint("latency@pi4 <= 8ms"),
                                 parse_constraint("accuracy >= 0.5")};
  Journal journal(":memory:");
  const SearchOutcome outcome = run(options, journal);
  int early = 0;
  int late = 0;
  for (const Evaluated& evaluated : outcome.evaluated) {
    const bool feasible = options.problem.violation(evaluated.metrics) == 0.0;
    (evaluated.candidate.index < 8 ? early : late) += feasible ? 1 : 0;
  }
  CHECK(late >= 26);  // of 52
  CHECK(early < 8);
}

TEST_CASE("Surrogate holds bounds with the interval's end, as the search does") {
  SearchOptions options = surrogate_search(60);
  options.problem.objectives = {parse_metric("latency@pi4")};
  options.problem.constraints = {parse_constraint("accuracy >= 0.75")};
  // The fastest network whose interval holds the bound.
  const auto best_of = [&](const char* strategy, int64_t evaluations, uint64_t seed) {
    options.strategy.name = strategy;
    options.budget.evaluations = evaluations;
    const ToySpace space;
    FakeAccuracy accuracy;
    accuracy.value = [](const Candidate& candidate) {
      return AccuracyEstimate{FakeAccuracy::estimate(candidate).top1, 0.03, 200};
    };
    FakeLatency pi4("pi4");
    Journal journal(":memory:");
    const SearchOutcome outcome =
        SearchController(space, accuracy, {&pi4}, options, journal, seed).run(no_progress(), never);
    double best = 1e9;
    for (const size_t index : outcome.front) {
      const Metrics& metrics = outcome.evaluated[index].metrics;
      best = std::min(best, metrics.at(parse_metric("latency@pi4")).value);
    }
    return best;
  };
  const double optimum = best_of("random", 3000, 1);
  double sum = 0.0;
  for (uint64_t seed = 1; seed <= 8; ++seed) sum += best_of("surrogate", 60, seed);
  // 0.99; 2.4 when the bound was held against the value alone.
  CHECK(sum / 8.0 < 1.2 * optimum);
}

TEST_CASE("Surrogate works with one and with three objectives and with counted ones") {
  for (const std::vector<const char*>& names : {std::vector<const char*>{"accuracy"},
                                                {"accuracy", "macs"},
                                                {"accuracy", "latency@pi4", "latency@pi5"}}) {
    SearchOptions options = surrogate_search(24);
    options.problem.objectives.clear();
    for (const char* name : names) options.problem.objectives.push_back(parse_metric(name));
    Journal journal(":memory:");
    const SearchOutcome outcome = run(options, journal);
    CHECK(outcome.evaluated.size() == 24);
    CHECK_FALSE(outcome.front.empty());
    std::set<Architecture> distinct;
    for (const Evaluated& evaluated : outcome.evaluated)
      distinct.insert(evaluated.candidate.architecture);
    CHECK(distinct.size() == 24);
  }
}

TEST_CASE("Surrogate reports how its models did; strategies without models report none") {
  SearchOptions options = surrogate_search(40);
  Journal journal(":memory:");
  const std::vector<LearnedMetric> learned = run(options, journal).learned;
  REQUIRE(learned.size() == 2);
  CHECK(to_string(learned[0].metric) == "accuracy");
  CHECK(to_string(learned[1].metric) == "latency@pi4");
  for (const LearnedMetric& metric : learned) {
    REQUIRE(metric.models.size() == 6);
    CHECK(metric.models.back().model == "average");
    CHECK(metric.models.back().labels >= 25);
    CHECK(metric.on);
  }
  // A resumed search that asks for nothing more knows them too.
  const std::vector<LearnedMetric> again = run(options, journal).learned;
  REQUIRE(again.size() == 2);
  REQUIRE(again[1].models.size() == 6);
  CHECK(again[1].models[1].mape == learned[1].models[1].mape);
  options.strategy.name = "nsga2";
  Journal other(":memory:");
  CHECK(run(options, other).learned.empty());
}

struct Cut : std::runtime_error {
  Cut() : std::runtime_error("cut") {}
};

TEST_CASE("Surrogate cut at any commit goes on as if it had not been") {
  SearchOptions options = surrogate_search(30);
  options.batch = 4;
  SUBCASE("by batches") {}
  SUBCASE("with several batches in flight") { options.in_flight = 12; }
  Journal whole(":memory:");
  const std::string expected = fingerprint(run(options, whole));
  for (int64_t cut = 1;; ++cut) {
    Journal journal(":memory:");
    int64_t commits = 0;
    journal.set_commit_hook([&](int64_t) {
      if (++commits == cut) throw Cut();
    });
    bool was_cut = false;
    try {
      run(options, journal);
    } catch (const Cut&) {
      was_cut = true;
    }
    if (!was_cut) break;
    CHECK(fingerprint(run(options, journal)) == expected);
  }
}

TEST_CASE("Surrogate survives candidates that fail, even a whole generation's first ones") {
  const ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4("pi4");
  pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (candidate.index < 7 || candidate.index % 4 == 0) return Failure{FailureKind::Crashed, "x"};
    return pi4.estimate(candidate);
  };
  Journal journal(":memory:");
  SearchController controller(space, accuracy, {&pi4}, surrogate_search(40), journal, 5);
  CHECK(controller.run(no_progress(), never).evaluated.size() == 40);
}

TEST_CASE("Surrogate refuses a state that is not its own") {
  const ToySpace space;
  Problem problem;
  problem.objectives = {parse_metric("accuracy"), parse_metric("macs")};
  const std::vector<Evaluated> history;
  Proposer proposer(space, problem);
  Surrogate surrogate(StrategyOptions(), {space, problem, history, proposer, Rng(1)});
  CHECK(message_of<DataError>([&] { surrogate.load_state("{]"); }).find("surrogate state: ") == 0);
  CHECK(message_of<DataError>([&] {
          surrogate.load_state("{\"pending\":[]}");
        }).find("surrogate state: ") == 0);
  CHECK(message_of<DataError>([&] {
          surrogate.load_state("{\"pending\":[\"0-0-0-0-0-0-0-0-0\"],\"models\":\"{}\"}");
        }) == "surrogate state: 1 pending after 0 committed, expected 0 together");
  CHECK(message_of<DataError>([&] {
          surrogate.load_state("{\"pending\":[],\"models\":\"{}\"}");
        }).find("saved models: ") == 0);
  CHECK_NOTHROW(surrogate.load_state(surrogate.save_state()));
}

}  // namespace
}  // namespace lathe::search
