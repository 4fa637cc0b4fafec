#include "search/strategy/expected_improvement.h"

#include <doctest/doctest.h>

#include <cmath>

#include "search/archive/hypervolume.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

TEST_CASE("expected_shortfall and probability_below by hand and at their limits") {
  CHECK(expected_shortfall(3.0, {1.0, 0.0}) == 2.0);
  CHECK(expected_shortfall(1.0, {3.0, 0.0}) == 0.0);
  CHECK(expected_shortfall(0.0, {0.0, 1.0}) == doctest::Approx(0.3989422804));  // pdf(0)
  CHECK(expected_shortfall(100.0, {0.0, 1.0}) == doctest::Approx(100.0));
  CHECK(expected_shortfall(-100.0, {0.0, 1.0}) == doctest::Approx(0.0));
  CHECK(probability_below(1.0, {1.0, 2.0}) == doctest::Approx(0.5));
  CHECK(probability_below(2.959963985, {1.0, 1.0}) == doctest::Approx(0.975));
  CHECK(probability_below(1.0, {1.0, 0.0}) == 1.0);
  CHECK(probability_below(0.9, {1.0, 0.0}) == 0.0);
}

/// The mean gain in hypervolume over many draws of the candidate.
double sampled(const std::vector<Objectives>& front, const Objectives& reference,
               const std::vector<Belief>& beliefs, int draws) {
  Rng rng(77);
  const double before = hypervolume(front, reference);
  double sum = 0.0;
  for (int i = 0; i < draws; ++i) {
    std::vector<Objectives> with = front;
    with.emplace_back();
    for (const Belief& belief : beliefs) {
      with.back().push_back(belief.mean + belief.deviation * rng.normal());
    }
    sum += hypervolume(with, reference) - before;
  }
  return sum / draws;
}

TEST_CASE("ExpectedImprovement of a known point is its gain in hypervolume") {
  Rng rng(1);
  for (const size_t objectives : {1U, 2U, 3U}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<Objectives> front(6, Objectives(objectives));
      for (Objectives& point : front) {
        for (double& value : point) value = rng.uniform(0.0, 1.2);
      }
      Objectives point(objectives);
      std::vector<Belief> beliefs;
      for (double& value : point) {
        value = rng.uniform(-0.2, 1.2);
        beliefs.push_back({value, 0.0});
      }
      const Objectives reference(objectives, 1.0);
      std::vector<Objectives> with = front;
      with.push_back(point);
      const double gain = hypervolume(with, reference) - hypervolume(front, reference);
      const ExpectedImprovement improvement(front, reference, Rng(2));
      CHECK(improvement(beliefs) == doctest::Approx(gain).epsilon(1e-9));
      CHECK(improvement.of_point(point) == doctest::Approx(gain).epsilon(1e-9));
    }
  }
}

TEST_CASE("ExpectedImprovement agrees with sampling in one, two and three objectives") {
  const std::vector<std::vector<Objectives>> fronts = {
      {{0.5}, {0.7}},
      {{0.2, 0.8}, {0.5, 0.4}, {0.8, 0.1}, {0.6, 0.6}},
      {{0.2, 0.8, 0.5}, {0.5, 0.4, 0.5}, {0.8, 0.1, 0.2}}};
  for (const auto& front : fronts) {
    const size_t objectives = front[0].size();
    std::vector<Belief> beliefs;
    for (size_t k = 0; k < objectives; ++k)
      beliefs.push_back({0.45 - 0.05 * static_cast<double>(k), 0.2});
    const Objectives reference(objectives, 1.0);
    const double expected = sampled(front, reference, beliefs, 20000);
    const ExpectedImprovement improvement(front, reference, Rng(3), 4000);
    CHECK(improvement(beliefs) == doctest::Approx(expected).epsilon(0.05));
  }
}

TEST_CASE("ExpectedImprovement with an empty front fills the box") {
  const ExpectedImprovement improvement({}, {2.0, 3.0}, Rng(4));
  CHECK(improvement({{0.0, 0.0}, {0.0, 0.0}}) == 6.0);
  CHECK(improvement({{2.5, 0.0}, {0.0, 0.0}}) == 0.0);
  CHECK(improvement({{2.5, 1.0}, {0.0, 0.0}}) > 0.0);
}

TEST_CASE("ExpectedImprovement refuses other sizes and values that are not finite") {
  CHECK(message_of<InvariantError>([] {
          ExpectedImprovement({{1.0}}, {1.0, 1.0}, Rng(1));
        }) == "ExpectedImprovement: point 0 has 1 objectives, expected 2");
  CHECK(message_of<InvariantError>([] {
          ExpectedImprovement({}, {1.0, std::nan("")}, Rng(1));
        }) ==
        "ExpectedImprovement reference: point 0, objective 1 = nan, expected a finite number");
  const ExpectedImprovement improvement({}, {1.0, 1.0}, Rng(1));
  CHECK(message_of<InvariantError>([&] {
          (void)improvement({{0.0, 0.0}});
        }) == "ExpectedImprovement: 1 beliefs, expected 2");
}

}  // namespace
}  // namespace lathe::search
