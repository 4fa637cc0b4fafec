#include "search/evaluation/problem.h"

#include <doctest/doctest.h>

#include <limits>

#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

Problem two_objectives() {
  Problem problem;
  problem.objectives = {parse_metric("accuracy"), parse_metric("latency@pi4")};
  problem.constraints = {parse_constraint("latency@pi4 <= 20ms"), parse_constraint("params <= 2M"),
                         parse_constraint("accuracy >= 0.5")};
  return problem;
}

Metrics metrics(double accuracy, MetricValue latency, double params) {
  return {{parse_metric("accuracy"), {accuracy, accuracy - 0.01, accuracy + 0.01}},
          {parse_metric("latency@pi4"), latency},
          {parse_metric("params"), {params, params, params}}};
}

TEST_CASE("Problem::minimised turns accuracy into an error and keeps the order") {
  const Objectives values = two_objectives().minimised(metrics(0.9, {12, 11, 13}, 1e6));
  REQUIRE(values.size() == 2);
  CHECK(values[0] == doctest::Approx(0.1));
  CHECK(values[1] == 12.0);
  CHECK(from_minimised(parse_metric("accuracy"), values[0]) == doctest::Approx(0.9));
}

TEST_CASE("Problem::violation tests the unfavourable end of the interval") {
  const Problem problem = two_objectives();
  CHECK(problem.violation(metrics(0.9, {19, 18, 20}, 1e6)) == 0.0);
  // The median keeps the bound, its upper end does not.
  CHECK(problem.violation(metrics(0.9, {19, 18, 22}, 1e6)) == doctest::Approx(0.1));
  // Violations add up: 22 / 20, 3M / 2M, and 0.495 against 0.5.
  CHECK(problem.violation(metrics(0.505, {19, 18, 22}, 3e6)) == doctest::Approx(0.1 + 0.5 + 0.01));
}

TEST_CASE("Problem::counted_violation looks at counted metrics alone") {
  const Problem problem = two_objectives();
  const Metrics counted = {{parse_metric("params"), {3e6, 3e6, 3e6}}};
  CHECK(problem.counted_violation(counted) == doctest::Approx(0.5));
}

TEST_CASE("Problem refuses missing values and NaN by name") {
  const Problem problem = two_objectives();
  Metrics values = metrics(0.9, {12, 11, 13}, 1e6);
  values.erase(parse_metric("params"));
  CHECK(message_of<InvariantError>([&] { (void)problem.violation(values); }) ==
        "problem: params is missing, expected a value");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] {
          (void)problem.minimised(metrics(0.9, {nan, 1, 2}, 1e6));
        }) == "problem: latency@pi4 = nan, expected a number");
  CHECK(message_of<InvariantError>([&] {
          (void)problem.violation(metrics(0.9, {1, 1, nan}, 1e6));
        }) == "problem: latency@pi4 = nan, expected a number");
}

TEST_CASE("Problem::metrics names everything once") {
  const std::vector<Metric> all = two_objectives().metrics();
  REQUIRE(all.size() == 3);
  CHECK(to_string(all[0]) == "accuracy");
  CHECK(to_string(all[1]) == "latency@pi4");
  CHECK(to_string(all[2]) == "params");
}

}  // namespace
}  // namespace lathe::search
