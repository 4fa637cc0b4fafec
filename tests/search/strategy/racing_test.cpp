#include "search/strategy/racing.h"

#include <doctest/doctest.h>

#include <limits>
#include <set>

#include "core/rng.h"
#include "search/archive/dominance.h"
#include "tests/search/strategy/search_fixture.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::fingerprint;
using test::never;
using test::raced_search;
using test::small_search;
using test::ten_parts;
using test::ToySpace;

TEST_CASE("race_stages covers the split part by part and measures fully last") {
  const std::vector<int64_t> ends = {250, 500, 750, 1000, 1250, 1500, 1750, 2000};
  const std::vector<RaceStage> stages = race_stages(true, ends, true);
  int64_t begin = 0;
  for (size_t s = 0; s + 1 < stages.size(); ++s) {
    CHECK(stages[s].accuracy == RaceStage::Accuracy::Part);
    CHECK(stages[s].images.begin == begin);
    CHECK(stages[s].images.end > begin);
    CHECK(std::count(ends.begin(), ends.end(), stages[s].images.end) == 1);
    begin = stages[s].images.end;
    const auto expected = s == 0 ? RaceStage::Latency::Coarse : RaceStage::Latency::None;
    CHECK(stages[s].latency == expected);
  }
  CHECK(begin == 2000);
  CHECK(stages.size() > 4);
  CHECK(stages.back().accuracy == RaceStage::Accuracy::None);
  CHECK(stages.back().latency == RaceStage::Latency::Full);
}

TEST_CASE("race_stages leaves out what a search does not ask for") {
  const std::vector<RaceStage> whole = race_stages(true, {}, true);
  REQUIRE(whole.size() == 2);
  CHECK(whole[0].accuracy == RaceStage::Accuracy::Whole);
  CHECK(whole[0].latency == RaceStage::Latency::Coarse);
  CHECK(whole[1].latency == RaceStage::Latency::Full);
  const std::vector<RaceStage> alone = race_stages(true, {100}, false);
  REQUIRE(alone.size() == 1);
  CHECK(alone[0].images == ImageRange{0, 100});
  CHECK(alone[0].latency == RaceStage::Latency::None);
  CHECK(race_stages(false, {100}, true).front().accuracy == RaceStage::Accuracy::None);
  CHECK(race_stages(false, {}, false).size() == 1);
}

TEST_CASE("coarse_plan asks for a wider interval in less board time") {
  latency::MeasurementPlan full;
  full.min_blocks = 4;
  const latency::MeasurementPlan coarse = coarse_plan(full);
  CHECK(coarse.target_half_width > 2.0 * full.target_half_width);
  CHECK(coarse.budget_s < 0.5 * full.budget_s);
  CHECK(coarse.processes == 1);
  CHECK(coarse.min_blocks == 4);
  CHECK(coarse.level == 0.99);
  CHECK(coarse.seed == full.seed);
}

TEST_CASE("final_accuracy is Wilson's interval for a finite split") {
  // Worked out by hand: z = 2.575829, z^2 times (N - n) / (N - 1).
  const MetricValue tenth = final_accuracy(accuracy_estimate(800, 1000), 10000);
  CHECK(tenth.value == 0.8);
  CHECK(tenth.low == doctest::Approx(0.7673480));
  CHECK(tenth.high == doctest::Approx(0.8290901));
  const MetricValue most = final_accuracy(accuracy_estimate(8100, 9000), 10000);
  CHECK(most.low == doctest::Approx(0.8973945));
  CHECK(most.high == doctest::Approx(0.9025465));
  const MetricValue all = final_accuracy(accuracy_estimate(7, 9), 9);
  CHECK(all.low == 7.0 / 9.0);
  CHECK(all.high == 7.0 / 9.0);
  // Never beyond what the images left can still change.
  const MetricValue none = final_accuracy(accuracy_estimate(0, 99), 100);
  CHECK(none.low == 0.0);
  CHECK(none.high <= 0.01);
}

TEST_CASE("final_accuracy holds the accuracy on the whole split as often as it says") {
  constexpr int kSplits = 4000;
  constexpr int64_t kImages = 500;
  Rng rng(11);
  for (const int64_t part : {50, 200, 450}) {
    int held = 0;
    for (int split = 0; split < kSplits; ++split) {
      int64_t first = 0;
      int64_t all = 0;
      for (int64_t image = 0; image < kImages; ++image) {
        const int64_t right = rng.bernoulli(0.7) ? 1 : 0;
        all += right;
        if (image < part) first += right;
      }
      const MetricValue value = final_accuracy(accuracy_estimate(first, part), kImages);
      const double truth = static_cast<double>(all) / static_cast<double>(kImages);
      held += truth >= value.low - 1e-12 && truth <= value.high + 1e-12 ? 1 : 0;
    }
    CAPTURE(part);
    CHECK(held > 0.984 * kSplits);  // three deviations below 99 %
  }
}

TEST_CASE("final_energy widens the coarse interval to 99 % and by a finer one") {
  latency::LatencyEstimate coarse;
  coarse.median_ms = 10.0;
  coarse.energy = latency::EnergyEstimate{4.0, {3.7, 4.3, 0.99}, 0.4, "sensor"};
  const MetricValue value = final_energy(coarse);
  CHECK(value.value == 4.0);
  // 0.3 of its own, a third of that for the full measurement's.
  CHECK(value.high == doctest::Approx(4.0 + std::hypot(0.3, 0.1)));
  CHECK(value.low == doctest::Approx(4.0 - std::hypot(0.3, 0.1)));
  coarse.verdict = latency::Verdict::Throttled;
  CHECK(final_energy(coarse).low == 0.0);
  CHECK(final_energy(coarse).high == std::numeric_limits<double>::infinity());
}

TEST_CASE("final_latency adds the full measurement's own width to the coarse one's") {
  latency::MeasurementPlan full;  // 1 % at 95 %
  latency::LatencyEstimate coarse;
  coarse.median_ms = 100.0;
  coarse.interval_ms = {97.0, 103.0, 0.99};
  const MetricValue value = final_latency(coarse, full);
  CHECK(value.value == 100.0);
  CHECK(value.low == doctest::Approx(100.0 - 3.2752376));  // hypot(3, 1 * 2.575829 / 1.959964)
  CHECK(value.high == doctest::Approx(100.0 + 3.2752376));
  coarse.interval_ms.level = 0.95;  // the same at a lower level says less
  CHECK(final_latency(coarse, full).low < value.low);
  coarse.verdict = latency::Verdict::Throttled;
  CHECK(final_latency(coarse, full).low == 0.0);
  CHECK(final_latency(coarse, full).high == std::numeric_limits<double>::infinity());
}

TEST_CASE("is_decided wants the whole interval dominated or outside of a constraint") {
  const Metric accuracy = parse_metric("accuracy");
  const Metric latency = parse_metric("latency@pi4");
  Problem problem;
  problem.objectives = {accuracy, latency};
  problem.constraints = {parse_constraint("latency@pi4 <= 40ms"),
                         parse_constraint("accuracy >= 0.2")};
  const std::vector<Objectives> front = {{0.2, 10.0}, {0.1, 20.0}};
  const auto decided = [&](const MetricValue& top1, const MetricValue& ms) {
    return is_decided(problem, {{accuracy, top1}, {latency, ms}}, front);
  };
  CHECK(decided({0.7, 0.65, 0.75}, {12.0, 11.0, 13.0}));
  CHECK_FALSE(decided({0.7, 0.65, 0.81}, {12.0, 11.0, 13.0}));  // may be more accurate
  CHECK_FALSE(decided({0.7, 0.65, 0.75}, {12.0, 9.9, 13.0}));   // may be faster
  CHECK_FALSE(decided({0.8, 0.8, 0.8}, {10.0, 10.0, 10.0}));    // equal is not dominated
  CHECK_FALSE(decided({0.95, 0.9, 0.99}, {41.0, 39.0, 43.0}));  // may be fast enough
  CHECK(decided({0.95, 0.9, 0.99}, {44.0, 41.0, 47.0}));
  CHECK(decided({0.1, 0.0, 0.19}, {1.0, 1.0, 1.0}));
}

/// A search on fakes without noise, with what it cost.
struct Raced {
  explicit Raced(const SearchOptions& options) {
    accuracy.parts = ten_parts();
    outcome =
        SearchController(space, accuracy, {&pi4}, options, journal, 5).run(no_progress(), never);
  }
  ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4{"pi4"};
  Journal journal{":memory:"};
  SearchOutcome outcome;
};

TEST_CASE("Without noise racing gives the front of evaluating everything, for less") {
  SearchOptions options = raced_search(120);
  options.strategy.name = "random";  // proposes the same whatever it is told
  const Raced raced(options);
  options.racing = false;
  const Raced whole(options);
  CHECK(raced.outcome.front == whole.outcome.front);
  REQUIRE(raced.outcome.front.size() > 3);
  const std::set<size_t> front(raced.outcome.front.begin(), raced.outcome.front.end());
  std::vector<Objectives> points;
  for (const size_t index : raced.outcome.front) {
    const Evaluated& evaluated = raced.outcome.evaluated[index];
    CHECK_FALSE(evaluated.screened);
    CHECK(evaluated.accuracy->images == 1000);
    CHECK(evaluated.latencies.at("pi4").wall_s == 0.5);
    points.push_back(options.problem.minimised(evaluated.metrics));
  }
  int64_t screened = 0;
  int64_t images = 0;
  double board_s = 0.0;
  for (size_t i = 0; i < raced.outcome.evaluated.size(); ++i) {
    const Evaluated& one = raced.outcome.evaluated[i];
    const Evaluated& other = whole.outcome.evaluated[i];
    REQUIRE(one.candidate.architecture == other.candidate.architecture);
    images += one.accuracy->images;
    board_s += one.board_s.at("pi4");
    if (!one.screened) continue;
    ++screened;
    CHECK(one.board_s.at("pi4") == doctest::Approx(0.05));
    // It would not have got into the front.
    const Objectives full = options.problem.minimised(other.metrics);
    const bool beaten = options.problem.violation(other.metrics) > 0.0 ||
                        std::any_of(points.begin(), points.end(),
                                    [&](const Objectives& p) { return dominates(p, full); });
    CHECK(beaten);
  }
  CHECK(screened > 30);
  CHECK(raced.outcome.racing.screened == screened);
  CHECK(raced.outcome.racing.images == images);
  CHECK(raced.outcome.board_time_s == doctest::Approx(board_s));
  CHECK(whole.outcome.racing.screened == 0);
  CHECK(whole.outcome.board_time_s == doctest::Approx(60.0));
  CHECK(images + raced.outcome.racing.images_saved == 120 * 1000);
  // Without noise every full measurement takes 0.5 s, so that the estimate is exact.
  CHECK(board_s + raced.outcome.racing.board_time_saved_s == doctest::Approx(60.0));
  CHECK(images < 110 * 1000);
  CHECK(board_s < 45.0);
}

TEST_CASE("nsga2 and surrogate race too, and screened candidates are never in the front") {
  for (const char* strategy : {"nsga2", "surrogate"}) {
    SearchOptions options = raced_search(60);
    options.strategy.name = strategy;
    const Raced raced(options);
    CAPTURE(strategy);
    CHECK(raced.outcome.evaluated.size() == 60);
    CHECK(raced.outcome.racing.screened > 0);
    for (const size_t index : raced.outcome.front) {
      CHECK_FALSE(raced.outcome.evaluated[index].screened);
      CHECK(raced.outcome.evaluated[index].accuracy->images == 1000);
    }
    CHECK(fingerprint(Raced(options).outcome) == fingerprint(raced.outcome));
  }
}

TEST_CASE("A candidate that fails in a race is a failure, not screened") {
  SearchOptions options = raced_search(48);
  Raced plain(options);
  const ToySpace space;
  FakeAccuracy accuracy;
  accuracy.parts = ten_parts();
  FakeLatency pi4("pi4");
  const auto fails = [](const Candidate& candidate) {
    return candidate.architecture.genes[1] == 3;
  };
  pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (fails(candidate)) return Failure{FailureKind::Crashed, "signal 11"};
    return pi4.estimate(candidate);
  };
  Journal journal(":memory:");
  const SearchOutcome outcome =
      SearchController(space, accuracy, {&pi4}, options, journal, 5).run(no_progress(), never);
  int failed = 0;
  for (const Evaluated& evaluated : outcome.evaluated) {
    CHECK(evaluated.ok() == !fails(evaluated.candidate));
    if (evaluated.ok()) continue;
    ++failed;
    CHECK_FALSE(evaluated.screened);
    CHECK(evaluated.failed_on == "latency@pi4");
  }
  CHECK(failed > 0);
  CHECK(outcome.racing.screened > 0);
}

TEST_CASE("A journal without the values of a committed candidate is refused") {
  Journal journal(":memory:");
  const ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4("pi4");
  SearchOptions options = raced_search(12);
  SearchController(space, accuracy, {&pi4}, options, journal, 5).run(no_progress(), never);
  Journal::Proposal lost = journal.proposals().back();
  lost.index = 12;
  lost.architecture = Architecture{{0, 2, 1, 0, 0, 0, 0, 0, 0}};
  lost.computation = network::Digest{{1, 2}};
  journal.add(lost);
  journal.set_strategy_state({13, 13, journal.strategy_state()->text});
  options.budget.evaluations = 13;
  CHECK(test::message_of<DataError>([&] {
          SearchController(space, accuracy, {&pi4}, options, journal, 5);
        }) == "search journal: candidate 12 was committed without all its values");
}

}  // namespace
}  // namespace lathe::search
