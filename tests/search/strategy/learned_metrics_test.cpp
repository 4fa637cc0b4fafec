#include "search/strategy/learned_metrics.h"

#include <doctest/doctest.h>

#include <cmath>

#include "search/strategy/proposer.h"
#include "tests/support/message_of.h"
#include "tests/support/toy_space.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::ToySpace;

Problem accuracy_and_latency() {
  Problem problem;
  problem.objectives = {parse_metric("accuracy"), parse_metric("latency@pi4"),
                        parse_metric("macs")};
  return problem;
}

/// Latency: 1 ms and 1 ms a million MACs; accuracy: always the same.
std::vector<Evaluated> history_of(const ToySpace& space, size_t count) {
  std::vector<Evaluated> history;
  Rng rng(1);
  for (size_t i = 0; i < count; ++i) {
    CountedCandidate made = make_candidate(space, space.sample(rng), static_cast<int64_t>(i));
    Evaluated evaluated;
    const double ms = 1.0 + 1e-6 * made.counted.at(parse_metric("macs")).value;
    evaluated.metrics = made.counted;
    evaluated.metrics[parse_metric("latency@pi4")] = {ms, ms, ms};
    evaluated.metrics[parse_metric("accuracy")] = {0.9, 0.9, 0.9};
    made.candidate.network.reset();
    evaluated.candidate = std::move(made.candidate);
    if (i % 7 == 3) evaluated.failure = Failure{FailureKind::Crashed, "x"};
    history.push_back(std::move(evaluated));
  }
  return history;
}

TEST_CASE("model_features knows inactive genes, counts and parts") {
  const ToySpace space;
  const CountedCandidate candidate = make_candidate(space, {{1, 2, 1, 0, 0, 0, 0, 0, 0}}, 0);
  const models::Features features = model_features(space, candidate);
  const uint16_t none = models::kInactive;
  CHECK(features.choices == std::vector<uint16_t>{1, 2, 1, 0, 0, none, none, none, none});
  REQUIRE(features.numbers.size() == 2 + candidate.features.size());
  CHECK(features.numbers[0] ==
        doctest::Approx(std::log1p(candidate.counted.at(parse_metric("macs")).value)));
  CHECK(features.parts.size() == candidate.parts.size());
}

TEST_CASE("to_learned makes errors and latencies logarithms that exist") {
  CHECK(to_learned(parse_metric("accuracy"), 0.9) == doctest::Approx(std::log(0.1)));
  CHECK(to_learned(parse_metric("accuracy"), 1.0) == doctest::Approx(std::log(1e-4)));
  CHECK(to_learned(parse_metric("latency@pi4"), 8.0) == doctest::Approx(std::log(8.0)));
  CHECK(std::isfinite(to_learned(parse_metric("latency@pi4"), 0.0)));
}

TEST_CASE("LearnedMetrics learns what can be learned and switches the rest off") {
  const ToySpace space;
  const Problem problem = accuracy_and_latency();
  Proposer proposer(space, problem);
  LearnedMetrics learned(space, problem, proposer);
  CHECK(learned.metrics().size() == 2);  // MACs are counted
  CHECK(learned.position(parse_metric("latency@pi4")) == 1);
  const std::vector<Evaluated> history = history_of(space, 70);
  learned.fit({history.begin(), history.begin() + 40});
  learned.fit(history);
  const std::vector<LearnedMetric> reports = learned.reports();
  CHECK_FALSE(reports[0].on);
  CHECK(reports[1].on);
  CHECK(reports[1].models.back().labels == 60);  // every seventh failed

  const CountedCandidate fresh = make_candidate(space, {{3, 3, 1, 3, 1, 0, 0, 1, 0}}, 0);
  const auto beliefs = learned.beliefs({model_features(space, fresh)});
  CHECK(beliefs[0][0].mean == doctest::Approx(std::log(0.1)));
  CHECK(beliefs[0][1].mean ==
        doctest::Approx(std::log(1.0 + 1e-6 * fresh.counted.at(parse_metric("macs")).value))
            .epsilon(0.2));
}

TEST_CASE("LearnedMetrics gives block costs to the models of their own device alone") {
  const ToySpace space;
  const Problem problem = accuracy_and_latency();
  Proposer proposer(space, problem);
  const std::vector<Evaluated> history = history_of(space, 60);
  models::PartCosts costs;
  for (const Evaluated& evaluated : history) {
    for (const CostPart& part : make_candidate(space, evaluated.candidate.architecture, 0).parts) {
      costs[part.key] = 1.0 + std::sqrt(static_cast<double>(part.macs));
    }
  }
  const auto saved = [&](const std::string& device) {
    LearnedMetrics learned(space, problem, proposer, {{device, costs}});
    learned.fit(history);
    return learned.save();
  };
  LearnedMetrics without(space, problem, proposer);
  without.fit(history);
  CHECK(saved("pi9") == without.save());
  CHECK(saved("pi4") != without.save());
}

TEST_CASE("LearnedMetrics saves what the next fit needs") {
  const ToySpace space;
  const Problem problem = accuracy_and_latency();
  Proposer proposer(space, problem);
  const std::vector<Evaluated> history = history_of(space, 60);
  LearnedMetrics whole(space, problem, proposer);
  whole.fit({history.begin(), history.begin() + 50});
  LearnedMetrics resumed(space, problem, proposer);
  resumed.load(whole.save());
  CHECK(resumed.save() == whole.save());
  whole.fit(history);
  resumed.fit(history);
  CHECK(resumed.save() == whole.save());
}

TEST_CASE("LearnedMetrics refuses metrics that are not learned and states of others") {
  const ToySpace space;
  const Problem problem = accuracy_and_latency();
  Proposer proposer(space, problem);
  LearnedMetrics learned(space, problem, proposer);
  CHECK(message_of<InvariantError>([&] { (void)learned.position(parse_metric("macs")); }) ==
        "LearnedMetrics: metric = macs, expected one that is learned");
  CHECK(message_of<DataError>([&] { learned.load("[]"); }).find("saved models: ") == 0);
  CHECK(message_of<DataError>([&] { learned.load("{"); }).find("saved models: ") == 0);
}

}  // namespace
}  // namespace lathe::search
