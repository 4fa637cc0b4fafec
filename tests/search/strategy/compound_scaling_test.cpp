#include "search/strategy/compound_scaling.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "tests/search/space/space_support.h"
#include "tests/search/strategy/search_fixture.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::fingerprint;
using test::message_of;
using test::never;
using test::ToySpace;

const char* kLadder = R"(
name: ladder
input: {channels: 1, resolution: [16, 20, 24, 28, 32]}
classes: 10
stem: {width: [8, 16, 24]}
stages:
  - {block: mbconv, depth: [1, 2, 3, 4], width: [16, 24, 32, 48], kernel: [3, 5], expand: 2, stride: 2}
  - {block: mbconv, depth: [2, 3, 4, 6], width: [24, 32, 48, 64], kernel: [3, 5], expand: 2, stride: 2}
)";

constexpr double kExponents[] = {0.7, 1.5, 1.9};

/// A search over the ladder on a board that follows a power law exactly, with an accuracy that has
/// its own opinion of the three factors.
struct Ladder {
  std::unique_ptr<StagedSpace> space = space_from(kLadder);
  Architecture baseline = space->smallest();
  SearchOptions options;
  FakeAccuracy accuracy;
  FakeLatency pi4{"pi4"};

  Ladder() {
    options.problem.objectives = {parse_metric("accuracy"), parse_metric("latency@pi4")};
    options.strategy.name = "compound_scaling";
    options.strategy.population = 8;
    options.strategy.scaling.budget = parse_metric("latency@pi4");
    options.budget.evaluations = 1000;
    accuracy.value = [this](const Candidate& candidate) -> Result<AccuracyEstimate> {
      return AccuracyEstimate{top1(candidate.architecture), 0.005, 1000};
    };
    pi4.value = [this](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
      latency::LatencyEstimate estimate = pi4.estimate(candidate);
      estimate.median_ms = latency_ms(candidate.architecture);
      estimate.interval_ms = {0.99 * estimate.median_ms, 1.01 * estimate.median_ms, 0.95};
      return estimate;
    };
  }
  double latency_ms(const Architecture& architecture) const {
    const ScaleFactors f = factors_between(*space, baseline, architecture);
    return 3.0 * std::pow(f.depth, kExponents[0]) * std::pow(f.width, kExponents[1]) *
           std::pow(f.resolution, kExponents[2]);
  }
  double top1(const Architecture& architecture) const {
    const ScaleFactors f = factors_between(*space, baseline, architecture);
    return 0.9 - 0.1 / f.depth - 0.15 / std::pow(f.width, 2.0) - 0.12 / std::pow(f.resolution, 2.0);
  }
  SearchOutcome run(Journal& journal, uint64_t seed = 5) {
    SearchController controller(*space, accuracy, {&pi4}, options, journal, seed);
    return controller.run(no_progress(), never);
  }
  SearchOutcome run() {
    Journal journal(":memory:");
    return run(journal);
  }
};

void check_distinct(const SearchOutcome& outcome) {
  std::set<Architecture> distinct;
  for (const Evaluated& evaluated : outcome.evaluated) {
    CHECK(distinct.insert(evaluated.candidate.architecture).second);
  }
}

/// Each member stands for the architecture of its factors and for the values of its evaluation.
void check_members(const Ladder& ladder, const SearchOutcome& outcome) {
  const ScalingFamily& family = *outcome.scaling;
  const ScaleFactors& best = family.grid[family.best.value()].asked;
  for (size_t phi = 0; phi < family.members.size(); ++phi) {
    CAPTURE(phi);
    const FamilyMember& member = family.members[phi];
    const ScaledCandidate& candidate = member.candidate;
    CHECK(member.phi == static_cast<int64_t>(phi));
    CHECK(candidate.asked.depth == doctest::Approx(std::pow(best.depth, phi)));
    CHECK(candidate.asked.width == doctest::Approx(std::pow(best.width, phi)));
    CHECK(candidate.asked.resolution == doctest::Approx(std::pow(best.resolution, phi)));
    CHECK(candidate.architecture == scale_within(*ladder.space, family.baseline, candidate.asked));
    const Evaluated& evaluated = outcome.evaluated[static_cast<size_t>(candidate.index.value())];
    CHECK(evaluated.candidate.architecture == candidate.architecture);
    CHECK(candidate.accuracy == evaluated.metrics.at(parse_metric("accuracy")).value);
    CHECK(candidate.cost == evaluated.metrics.at(family.budget).value);
    std::optional<int64_t> same;
    for (size_t earlier = phi; earlier-- > 0;) {
      if (family.members[earlier].candidate.architecture == candidate.architecture) {
        same = static_cast<int64_t>(earlier);
      }
    }
    CHECK(member.same_as == same);
  }
  CHECK(family.members[0].candidate.architecture == family.baseline);
  CHECK(family.members[1].candidate.architecture == family.grid[*family.best].architecture);
}

TEST_CASE("CompoundScaling finds the law of the board and the best triple of its latency budget") {
  Ladder ladder;
  ladder.options.strategy.scaling.grid = 1000;  // whatever should stay within the budget
  const SearchOutcome outcome = ladder.run();
  CHECK(outcome.complete);
  CHECK(outcome.exhausted);
  check_distinct(outcome);
  REQUIRE(outcome.scaling.has_value());
  const ScalingFamily& family = *outcome.scaling;
  CHECK(family.baseline == ladder.space->smallest());
  CHECK(family.budget_cost == doctest::Approx(6.0));
  REQUIRE(family.law.has_value());
  CHECK(family.law->points == 16);
  CHECK(family.law->r_squared == doctest::Approx(1.0));
  CHECK(family.law->residual == doctest::Approx(0.0));
  for (size_t k = 0; k < 3; ++k) CHECK(family.law->exponents[k] == doctest::Approx(kExponents[k]));
  for (const ScaledCandidate& point : family.grid) {
    CHECK(point.predicted == doctest::Approx(point.cost.value()));
  }
  // The true best of the whole grid.
  std::optional<Architecture> best;
  for (const GridPoint& point : scaling_grid(*ladder.space, family.baseline, 2.0)) {
    if (ladder.latency_ms(point.architecture) > 6.0) continue;
    if (!best || ladder.top1(point.architecture) > ladder.top1(*best)) best = point.architecture;
  }
  REQUIRE(family.best.has_value());
  CHECK(family.grid[*family.best].architecture == best.value());
  CHECK(family.members.size() == 4);
  check_members(ladder, outcome);
  // phi = 2 costs about twice as much again; choices are discrete.
  CHECK(family.members[2].candidate.cost.value() > 8.0);
}

TEST_CASE("CompoundScaling under a MACs budget keeps EfficientNet's rule") {
  Ladder ladder;
  ladder.options.strategy.scaling.budget = parse_metric("macs");
  ladder.options.strategy.scaling.factor = 3.0;
  ladder.options.strategy.scaling.grid = 8;
  ladder.options.strategy.scaling.family = 6;
  const SearchOutcome outcome = ladder.run();
  check_distinct(outcome);
  REQUIRE(outcome.scaling.has_value());
  const ScalingFamily& family = *outcome.scaling;
  CHECK_FALSE(family.law.has_value());
  CHECK(family.grid.size() == 8);
  const Metric macs = parse_metric("macs");
  const double base = make_candidate(*ladder.space, ladder.baseline, 0).counted.at(macs).value;
  CHECK(family.budget_cost == 3.0 * base);
  // Those chosen come nearer to depth width^2 resolution^2 = 3 than the others within the budget.
  double farthest = 0.0;
  std::set<Architecture> chosen;
  for (const ScaledCandidate& point : family.grid) {
    CHECK(point.cost.value() <= 3.0 * base);
    CHECK(point.predicted == doctest::Approx(base * expected_cost(point.realised)));
    CHECK(point.accuracy.value() <= family.grid[family.best.value()].accuracy.value());
    farthest = std::max(farthest, std::abs(std::log(expected_cost(point.realised) / 3.0)));
    chosen.insert(point.architecture);
  }
  for (const GridPoint& point : scaling_grid(*ladder.space, ladder.baseline, 3.0)) {
    const double cost = make_candidate(*ladder.space, point.architecture, 0).counted.at(macs).value;
    if (cost > 3.0 * base || chosen.count(point.architecture) != 0) continue;
    CHECK(std::abs(std::log(expected_cost(point.realised) / 3.0)) >= farthest - 1e-12);
  }
  CHECK(family.members.size() == 7);
  check_members(ladder, outcome);
  // Beyond the space's largest choices the family stands still.
  CHECK(family.members[6].same_as.has_value());
}

TEST_CASE("CompoundScaling scales the given baseline or the best of the first generation") {
  Ladder ladder;
  SUBCASE("given") {
    ladder.options.strategy.scaling.baseline = "1-0-1-0-1-1-0-0-0-0-0-0-0-0-0-0";
    const Architecture given = Architecture::parse(ladder.options.strategy.scaling.baseline);
    const SearchOutcome outcome = ladder.run();
    REQUIRE(outcome.scaling.has_value());
    CHECK(outcome.scaling->baseline == ladder.space->canonical(given));
    CHECK(outcome.evaluated[0].candidate.architecture == outcome.scaling->baseline);
  }
  SUBCASE("best") {
    ladder.options.strategy.scaling.baseline = "best";
    ladder.options.strategy.seed_extremes = true;
    const SearchOutcome outcome = ladder.run();
    REQUIRE(outcome.scaling.has_value());
    double best = 0.0;
    for (size_t i = 0; i < 8; ++i) {
      const Architecture& architecture = outcome.evaluated[i].candidate.architecture;
      const double reward =
          ladder.top1(architecture) * std::pow(ladder.latency_ms(architecture), -0.07);
      best = std::max(best, reward);
    }
    const Architecture& found = outcome.scaling->baseline;
    CHECK(ladder.top1(found) * std::pow(ladder.latency_ms(found), -0.07) == doctest::Approx(best));
    check_distinct(outcome);
  }
}

TEST_CASE("CompoundScaling builds on nothing that breaks a constraint on what is measured") {
  const auto searched = [](const std::vector<Constraint>& constraints) {
    Ladder ladder;
    ladder.options.strategy.scaling.baseline = "best";
    ladder.options.strategy.scaling.grid = 1000;
    ladder.options.problem.constraints = constraints;
    return ladder.run();
  };
  const Metric latency = parse_metric("latency@pi4");
  const auto latency_of = [&](const SearchOutcome& outcome, const Architecture& architecture) {
    for (const Evaluated& evaluated : outcome.evaluated) {
      if (evaluated.candidate.architecture == architecture) {
        return evaluated.metrics.at(latency).value;
      }
    }
    return 0.0;
  };
  const SearchOutcome free = searched({});
  REQUIRE(free.scaling.has_value());
  SUBCASE("the baseline") {
    // The free one is too slow now: the best of those that are not takes its place.
    const double bound = 0.9 * latency_of(free, free.scaling->baseline);
    const SearchOutcome outcome = searched({{latency, true, bound}});
    REQUIRE(outcome.scaling.has_value());
    double best = 0.0;
    for (size_t i = 0; i < 8; ++i) {
      const Metrics& metrics = outcome.evaluated[i].metrics;
      if (1.01 * metrics.at(latency).value > bound) continue;
      const double top1 = metrics.at(parse_metric("accuracy")).value;
      best = std::max(best, top1 * std::pow(metrics.at(latency).value, -0.07));
    }
    REQUIRE(best > 0.0);
    const double ms = latency_of(outcome, outcome.scaling->baseline);
    CHECK(1.01 * ms <= bound);
    Ladder ladder;
    CHECK(ladder.top1(outcome.scaling->baseline) * std::pow(ms, -0.07) == doctest::Approx(best));
  }
  SUBCASE("the triple") {
    const Architecture& best = free.scaling->grid[free.scaling->best.value()].architecture;
    const double bound = 0.99 * latency_of(free, best);
    REQUIRE(1.01 * latency_of(free, free.scaling->baseline) < bound);
    const SearchOutcome outcome = searched({{latency, true, bound}});
    REQUIRE(outcome.scaling.has_value());
    REQUIRE(outcome.scaling->baseline == free.scaling->baseline);
    const Architecture& found = outcome.scaling->grid[outcome.scaling->best.value()].architecture;
    CHECK(found != best);
    CHECK(1.01 * latency_of(outcome, found) <= bound);
  }
}

TEST_CASE("CompoundScaling's outcome does not depend on how many are asked and in flight") {
  const auto architectures = [](int64_t batch, int64_t in_flight) {
    Ladder ladder;
    ladder.options.batch = batch;
    ladder.options.in_flight = in_flight;
    std::string text;
    for (const Evaluated& evaluated : ladder.run().evaluated) {
      text += evaluated.candidate.architecture.to_string() + "\n";
    }
    return text;
  };
  const std::string expected = architectures(0, 0);
  CHECK(architectures(1, 1) == expected);
  CHECK(architectures(3, 9) == expected);
  CHECK(architectures(100, 0) == expected);
}

/// The family as text.
std::string family_text(const SearchOutcome& outcome) {
  if (!outcome.scaling) return "no family";
  std::string text = outcome.scaling->baseline.to_string();
  if (outcome.scaling->law) text += " " + std::to_string(outcome.scaling->law->intercept);
  for (const ScaledCandidate& point : outcome.scaling->grid) {
    text += "\n" + point.architecture.to_string() + " " + std::to_string(point.predicted);
  }
  for (const FamilyMember& member : outcome.scaling->members) {
    text += "\nphi " + std::to_string(member.phi) + " " + member.candidate.architecture.to_string();
  }
  return text;
}

struct Cut : std::runtime_error {
  Cut() : std::runtime_error("cut") {}
};

TEST_CASE("CompoundScaling cut at any commit goes on as if it had not been") {
  Ladder ladder;
  ladder.options.strategy.scaling.grid = 6;
  ladder.options.batch = 4;
  SUBCASE("by batches") {}
  SUBCASE("with several batches in flight") { ladder.options.in_flight = 10; }
  SUBCASE("from the best of the first") { ladder.options.strategy.scaling.baseline = "best"; }
  Journal whole(":memory:");
  const SearchOutcome expected = ladder.run(whole);
  REQUIRE(expected.scaling.has_value());
  int64_t cuts = 0;
  for (;; ++cuts) {
    Journal journal(":memory:");
    int64_t commits = 0;
    journal.set_commit_hook([&](int64_t) {
      if (++commits == cuts + 1) throw Cut();
    });
    try {
      ladder.run(journal);
      break;
    } catch (const Cut&) {
    }
    const SearchOutcome outcome = ladder.run(journal);
    REQUIRE(fingerprint(outcome) == fingerprint(expected));
    REQUIRE(family_text(outcome) == family_text(expected));
  }
  CHECK(cuts > 10);
  // A finished search that is opened again still knows its family.
  CHECK(family_text(ladder.run(whole)) == family_text(expected));
}

TEST_CASE("CompoundScaling goes on without points that fail, but not without a baseline") {
  Ladder ladder;
  const auto works = ladder.pi4.value;
  ladder.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (candidate.index % 5 == 2) return Failure{FailureKind::Crashed, "x"};
    return works(candidate);
  };
  const SearchOutcome outcome = ladder.run();
  REQUIRE(outcome.scaling.has_value());
  CHECK(outcome.scaling->law->points == 13);  // 2, 7 and 12 of the first 16 failed
  CHECK(outcome.scaling->best.has_value());
  int failed = 0;
  for (const ScaledCandidate& point : outcome.scaling->grid) failed += point.cost ? 0 : 1;
  CHECK(failed >= 3);

  Ladder broken;
  broken.pi4.value = [](const Candidate&) -> Result<latency::LatencyEstimate> {
    return Failure{FailureKind::Crashed, "x"};
  };
  CHECK(message_of<DeviceError>([&] {
          broken.run();
        }).find("compound_scaling: the baseline 0-0-0-0") == 0);
}

TEST_CASE("CompoundScaling proposes nothing that breaks a constraint on what is counted") {
  Ladder ladder;
  ladder.options.problem.constraints = {parse_constraint("params <= 12k")};
  const SearchOutcome outcome = ladder.run();
  REQUIRE(outcome.scaling.has_value());
  for (const Evaluated& evaluated : outcome.evaluated) {
    CHECK(evaluated.metrics.at(parse_metric("params")).value <= 12000.0);
  }
  // The family's larger networks are named all the same, without values.
  REQUIRE(outcome.scaling->members.size() == 4);
  CHECK_FALSE(outcome.scaling->members[3].candidate.index.has_value());
}

TEST_CASE("CompoundScaling works among four objectives and on the second of two devices") {
  Ladder ladder;
  FakeLatency pi5("pi5");
  ladder.options.problem.objectives = {parse_metric("accuracy"), parse_metric("latency@pi4"),
                                       parse_metric("peak_memory"), parse_metric("model_size")};
  ladder.options.problem.constraints = {parse_constraint("latency@pi5 <= 1s"),
                                        parse_constraint("params <= 1M")};
  ladder.options.strategy.scaling.budget = parse_metric("latency@pi5");
  Journal journal(":memory:");
  SearchController controller(*ladder.space, ladder.accuracy, {&ladder.pi4, &pi5}, ladder.options,
                              journal, 5);
  const SearchOutcome outcome = controller.run(no_progress(), never);
  CHECK_FALSE(outcome.front.empty());
  REQUIRE(outcome.scaling.has_value());
  for (const ScaledCandidate& point : outcome.scaling->grid) {
    const auto& evaluated = outcome.evaluated[static_cast<size_t>(point.index.value())];
    CHECK(point.cost == evaluated.metrics.at(parse_metric("latency@pi5")).value);
  }
  // That board goes by MACs and a tenth of noise: no power law, but near one.
  CHECK(outcome.scaling->law->r_squared > 0.8);
  CHECK(outcome.scaling->law->r_squared < 1.0);
}

TEST_CASE("CompoundScaling says when its budget of evaluations was too short for a family") {
  Ladder ladder;
  ladder.options.budget.evaluations = 5;
  const SearchOutcome outcome = ladder.run();
  CHECK(outcome.evaluated.size() == 5);
  CHECK_FALSE(outcome.scaling.has_value());
}

TEST_CASE("CompoundScaling refuses what it cannot scale, before anything is evaluated") {
  const auto refusal = [](const std::function<void(Ladder&)>& change) {
    Ladder ladder;
    change(ladder);
    return message_of<ConfigError>([&] { ladder.run(); });
  };
  CHECK(refusal([](Ladder& l) { l.options.strategy.scaling.baseline = "0-1"; })
            .find("compound_scaling: expected a baseline of the space (space ladder: architecture "
                  "0-1 has 2 genes, expected ") == 0);
  CHECK(refusal(
            [](Ladder& l) { l.options.strategy.scaling.baseline = l.space->largest().to_string(); })
            .find("compound_scaling: expected a baseline that can be scaled to at least 5 other "
                  "networks; factors up to 2.00 make 0 of ") == 0);
  CHECK(refusal([](Ladder& l) { l.options.problem.objectives = {parse_metric("latency@pi4")}; }) ==
        "compound_scaling: expected accuracy among the objectives: compound_scaling chooses by it");
  CHECK(refusal([](Ladder& l) { l.options.problem.objectives = {parse_metric("accuracy")}; }) ==
        "compound_scaling: expected latency@pi4 among the objectives or constraints: it is "
        "compound_scaling's budget");
  StrategyOptions options;
  options.name = "compound_scaling";
  CHECK(strategy_fault(options, ToySpace()) ==
        "a space of stages, whose depth, width and resolution can be scaled; toy has none");
  options.name = "nsga2";
  CHECK(strategy_fault(options, ToySpace()).empty());
}

TEST_CASE("CompoundScaling refuses a state that is not its own") {
  const Ladder ladder;
  const std::vector<Evaluated> history;
  Proposer proposer(*ladder.space, ladder.options.problem);
  CompoundScaling scaling(ladder.options.strategy,
                          {*ladder.space, ladder.options.problem, history, proposer, Rng(1)});
  CHECK(message_of<DataError>([&] { scaling.load_state("{]"); }).find("compound_scaling state: ") ==
        0);
  CHECK(message_of<DataError>([&] { scaling.load_state("{\"pending\":[\"0-1\"]}"); }) ==
        "compound_scaling state: 1 pending after 0 committed, expected 0 together");
}

}  // namespace
}  // namespace lathe::search
