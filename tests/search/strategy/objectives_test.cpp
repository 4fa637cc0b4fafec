#include <doctest/doctest.h>

#include "tests/search/strategy/search_fixture.h"

// Every strategy with every kind of objective and constraint, up to four of them and two devices.

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::never;
using test::ToySpace;

struct Case {
  std::vector<const char*> objectives;
  std::vector<const char*> constraints;
};

const std::vector<Case> kCases = {
    {{"accuracy", "latency@pi4", "macs"}, {"params <= 3k", "latency@pi5 <= 30ms"}},
    {{"accuracy", "latency@pi4", "latency@pi5"}, {"latency@pi4 <= 20ms", "latency@pi5 <= 12ms"}},
    {{"accuracy", "latency@pi4", "latency@pi5", "params"}, {"accuracy >= 0.5", "macs <= 150k"}},
    {{"accuracy", "peak_memory", "model_size", "macs"}, {"peak_memory <= 6KB", "macs >= 5k"}},
    {{"latency@pi4", "peak_memory", "model_size", "params"}, {"model_size <= 9KB"}},
};

SearchOptions options_of(const std::string& strategy, const Case& problem) {
  SearchOptions options;
  options.strategy.name = strategy;
  options.strategy.population = 10;
  options.strategy.pool = 60;
  options.budget.evaluations = 40;
  for (const char* text : problem.objectives) {
    options.problem.objectives.push_back(parse_metric(text));
  }
  for (const char* text : problem.constraints) {
    options.problem.constraints.push_back(parse_constraint(text));
  }
  return options;
}

/// The unfavourable end of each constrained value against its bound.
bool feasible(const Problem& problem, const Metrics& metrics, bool counted_only = false) {
  for (const Constraint& constraint : problem.constraints) {
    if (counted_only && !is_counted(constraint.metric.kind)) continue;
    const MetricValue& value = metrics.at(constraint.metric);
    if (constraint.at_most ? value.high > constraint.bound : value.low < constraint.bound) {
      return false;
    }
  }
  return true;
}

/// True if `a` is at least as good in every objective and better in one.
bool beats(const Problem& problem, const Metrics& a, const Metrics& b) {
  bool better = false;
  for (const Metric& metric : problem.objectives) {
    const double sign = metric.kind == MetricKind::Accuracy ? -1.0 : 1.0;
    const double difference = sign * (a.at(metric).value - b.at(metric).value);
    if (difference > 0.0) return false;
    better = better || difference < 0.0;
  }
  return better;
}

std::vector<size_t> front_by_definition(const Problem& problem,
                                        const std::vector<Evaluated>& evaluated) {
  std::vector<size_t> front;
  for (size_t i = 0; i < evaluated.size(); ++i) {
    bool stays = feasible(problem, evaluated[i].metrics);
    for (const Evaluated& other : evaluated) {
      stays = stays && !(feasible(problem, other.metrics) &&
                         beats(problem, other.metrics, evaluated[i].metrics));
    }
    if (stays) front.push_back(i);
  }
  return front;
}

TEST_CASE("Every strategy searches every kind of objective under every kind of constraint") {
  for (const char* strategy : {"nsga2", "aging_evolution", "random", "surrogate"}) {
    for (size_t c = 0; c < kCases.size(); ++c) {
      CAPTURE(std::string(strategy));
      CAPTURE(c);
      const ToySpace space;
      FakeAccuracy accuracy;
      FakeLatency pi4("pi4");
      FakeLatency pi5("pi5");
      pi5.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
        latency::LatencyEstimate estimate = pi5.estimate(candidate);
        // Another order than pi4's: the deeper, the slower.
        const double factor = 1.0 + candidate.architecture.genes[0];
        estimate.median_ms *= factor;
        estimate.interval_ms = {0.99 * estimate.median_ms, 1.01 * estimate.median_ms, 0.95};
        return estimate;
      };
      const SearchOptions options = options_of(strategy, kCases[c]);
      Journal journal(":memory:");
      SearchController controller(space, accuracy, {&pi4, &pi5}, options, journal, 3);
      const SearchOutcome outcome = controller.run(no_progress(), never);
      REQUIRE(outcome.evaluated.size() == 40);
      for (const Evaluated& evaluated : outcome.evaluated) {
        CHECK(feasible(options.problem, evaluated.metrics, true));
        for (const Metric& metric : options.problem.metrics()) {
          CHECK(evaluated.metrics.count(metric) == 1);
        }
      }
      CHECK_FALSE(outcome.front.empty());
      CHECK(outcome.front == front_by_definition(options.problem, outcome.evaluated));
      CHECK(outcome.reference.size() == options.problem.objectives.size());
      for (size_t g = 1; g < outcome.generations.size(); ++g) {
        CHECK(outcome.generations[g].hypervolume >= outcome.generations[g - 1].hypervolume);
      }
    }
  }
}

}  // namespace
}  // namespace lathe::search
