#include "core/statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/support/message_of.h"

namespace lathe {
namespace {

using test::message_of;

/// Kendall's tau-b by its definition, over all pairs.
double kendall_by_definition(const std::vector<double>& a, const std::vector<double>& b) {
  double concordance = 0.0;
  double distinct_a = 0.0;
  double distinct_b = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = i + 1; j < a.size(); ++j) {
      const int sign_a = (a[i] < a[j]) - (a[j] < a[i]);
      const int sign_b = (b[i] < b[j]) - (b[j] < b[i]);
      concordance += sign_a * sign_b;
      distinct_a += sign_a != 0;
      distinct_b += sign_b != 0;
    }
  }
  if (distinct_a == 0.0 || distinct_b == 0.0) return 0.0;
  return concordance / std::sqrt(distinct_a * distinct_b);
}

TEST_CASE("mean, deviation and median of hand-computed samples") {
  CHECK(mean({2.0, 4.0, 9.0}) == 5.0);
  CHECK(standard_deviation({2.0, 4.0, 9.0}) == doctest::Approx(std::sqrt(13.0)));
  CHECK(standard_deviation({3.0}) == 0.0);
  CHECK(median({5.0}) == 5.0);
  CHECK(median({9.0, 1.0, 5.0}) == 5.0);
  CHECK(median({9.0, 1.0, 5.0, 2.0}) == 3.5);
  // A mean of squares would cancel here.
  CHECK(standard_deviation({1e9 + 1, 1e9 + 2, 1e9 + 3}) == doctest::Approx(1.0));
}

TEST_CASE("quantile interpolates as type 7") {
  // The values that R prints for quantile(c(1, 2, 4, 8, 16), type = 7).
  const std::vector<double> sample = {16.0, 1.0, 8.0, 2.0, 4.0};
  CHECK(quantile(sample, 0.0) == 1.0);
  CHECK(quantile(sample, 0.1) == doctest::Approx(1.4));
  CHECK(quantile(sample, 0.25) == 2.0);
  CHECK(quantile(sample, 0.5) == 4.0);
  CHECK(quantile(sample, 0.6) == doctest::Approx(5.6));
  CHECK(quantile(sample, 0.9) == doctest::Approx(12.8));
  CHECK(quantile(sample, 1.0) == 16.0);
  CHECK(quantile({3.0}, 0.7) == 3.0);
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(quantile({infinity, infinity, 1.0}, 0.75) == infinity);
  CHECK(message_of<InvariantError>([&] { quantile(sample, 1.1); }) ==
        "quantile: p = 1.100000, expected within [0, 1]");
  CHECK_THROWS_AS(quantile(sample, std::nan("")), InvariantError);
}

TEST_CASE("scaled_mad is 1.4826 median deviations and ignores an outlier") {
  CHECK(scaled_mad({1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0}) == doctest::Approx(1.4826));
  CHECK(scaled_mad({1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9e9}) == doctest::Approx(1.4826));
  CHECK(scaled_mad({5.0, 5.0, 5.0}) == 0.0);
}

TEST_CASE("every statistic refuses an empty sample and a NaN by its name") {
  const std::vector<double> none;
  const std::vector<double> broken = {1.0, std::nan(""), 2.0};
  CHECK(message_of<InvariantError>([&] { mean(none); }) ==
        "mean: the sample is empty, expected a value");
  CHECK(message_of<InvariantError>([&] { median(broken); }) ==
        "median: value 1 of 3 is not a number");
  CHECK_THROWS_AS(standard_deviation(none), InvariantError);
  CHECK_THROWS_AS(standard_deviation(broken), InvariantError);
  CHECK_THROWS_AS(quantile(broken, 0.5), InvariantError);
  CHECK_THROWS_AS(scaled_mad(none), InvariantError);
  CHECK_THROWS_AS(median_interval(none), InvariantError);
  CHECK_THROWS_AS(median_interval(broken), InvariantError);
  CHECK_THROWS_AS(kendall_tau(none, none), InvariantError);
  CHECK_THROWS_AS(spearman(broken, broken), InvariantError);
  CHECK_THROWS_AS(kendall_interval(none, none, Rng(1)), InvariantError);
  CHECK(message_of<InvariantError>([&] {
          kendall_tau({1.0, 2.0}, {1.0});
        }) == "kendall_tau: sizes = 2 and 1, expected equal sizes");
  CHECK(message_of<InvariantError>([&] { bootstrap_interval(none, mean, Rng(1)); }) ==
        "bootstrap_interval: the sample is empty, expected a value");
  CHECK(message_of<InvariantError>([&] { bootstrap_interval({1.0}, mean, Rng(1), 0); }) ==
        "bootstrap_interval: resamples = 0, level = 0.950000, expected at least 1 resample and a "
        "level within (0, 1)");
  CHECK(message_of<InvariantError>([&] { median_interval({1.0}, 1.0); }) ==
        "median_interval: level = 1.000000, expected within (0, 1)");
}

TEST_CASE("median_interval takes the order statistics of the published table") {
  // Two-sided 95 % ranks of the sign test: n = 6 -> 1, 8 -> 1, 9 -> 2, 12 -> 3, 15 -> 4, 20 -> 6,
  // 25 -> 8, 30 -> 10, 50 -> 18, 100 -> 40.
  const std::vector<std::pair<int, int>> table = {{6, 1},  {8, 1},  {9, 2},   {12, 3},  {15, 4},
                                                  {20, 6}, {25, 8}, {30, 10}, {50, 18}, {100, 40}};
  for (const auto& [n, rank] : table) {
    std::vector<double> sample;
    for (int i = n; i >= 1; --i) sample.push_back(i);
    const Interval interval = median_interval(sample);
    CHECK(interval.low == rank);
    CHECK(interval.high == n + 1 - rank);
    CHECK(interval.level == 0.95);
  }
}

TEST_CASE("median_interval of a small sample is the range with its true level") {
  const Interval five = median_interval({5.0, 1.0, 2.0, 4.0, 3.0});
  CHECK(five.low == 1.0);
  CHECK(five.high == 5.0);
  CHECK(five.level == doctest::Approx(0.9375));
  const Interval one = median_interval({3.0});
  CHECK(one.low == 3.0);
  CHECK(one.high == 3.0);
  CHECK(one.level == doctest::Approx(0.0));
}

TEST_CASE("median_interval works where a power of one half underflows") {
  std::vector<double> sample;
  for (int i = 0; i < 100001; ++i) sample.push_back(i);
  const Interval interval = median_interval(sample);
  // Normal approximation: 50000 -+ 1.96 * sqrt(100001) / 2 = 309.9.
  CHECK(interval.low == doctest::Approx(50000.0 - 309.9).epsilon(0.0001));
  CHECK(interval.high == doctest::Approx(50000.0 + 309.9).epsilon(0.0001));
}

TEST_CASE("median_interval covers the median of a heavy-tailed distribution as promised") {
  const Rng root(17);
  for (const int n : {6, 11, 25, 60}) {
    int covered = 0;
    constexpr int kTrials = 2000;
    for (int trial = 0; trial < kTrials; ++trial) {
      Rng rng = root.derive("coverage", static_cast<uint64_t>(n * kTrials + trial));
      std::vector<double> sample;
      for (int i = 0; i < n; ++i) sample.push_back(rng.normal() / rng.uniform(1e-9, 1.0));
      const Interval interval = median_interval(sample);
      covered += interval.low <= 0.0 && 0.0 <= interval.high ? 1 : 0;
    }
    const double coverage = covered / static_cast<double>(kTrials);
    CAPTURE(n);
    CHECK(coverage > 0.95 - 3.5 * std::sqrt(0.95 * 0.05 / kTrials));
    CHECK(coverage < 0.99);
  }
}

TEST_CASE("kendall_tau of hand-computed rankings") {
  CHECK(kendall_tau({1, 2, 3, 4}, {1, 2, 3, 4}) == 1.0);
  CHECK(kendall_tau({1, 2, 3, 4}, {4, 3, 2, 1}) == -1.0);
  CHECK(kendall_tau({1, 2, 3, 4}, {1, 2, 4, 3}) == doctest::Approx(4.0 / 6.0));
  // One tie on each side: 4 concordant pairs / sqrt(5 * 5).
  CHECK(kendall_tau({1, 1, 2, 3}, {1, 2, 2, 3}) == doctest::Approx(4.0 / 5.0));
  // The example that SciPy documents: -0.4714045207910316 (with ties).
  CHECK(kendall_tau({12, 2, 1, 12, 2}, {1, 4, 7, 1, 0}) == doctest::Approx(-0.47140452079103173));
  CHECK(kendall_tau({1, 1, 1}, {1, 2, 3}) == 0.0);
  CHECK(kendall_tau({1}, {2}) == 0.0);
}

TEST_CASE("kendall_tau equals its definition over all pairs on random samples with ties") {
  Rng rng(31);
  for (int trial = 0; trial < 300; ++trial) {
    const size_t n = 1 + static_cast<size_t>(rng.below(40));
    const int64_t values = rng.integer(1, 12);
    std::vector<double> a(n);
    std::vector<double> b(n);
    for (size_t i = 0; i < n; ++i) {
      a[i] = static_cast<double>(rng.integer(0, values));
      b[i] = static_cast<double>(rng.integer(0, 3 * values));
    }
    REQUIRE(kendall_tau(a, b) == doctest::Approx(kendall_by_definition(a, b)));
  }
}

TEST_CASE("pearson of lines, of a hand-computed case and of a constant") {
  CHECK(pearson({1.0, 2.0, 4.0}, {3.0, 5.0, 9.0}) == doctest::Approx(1.0));
  CHECK(pearson({1.0, 2.0, 4.0}, {-1.0, -2.0, -4.0}) == doctest::Approx(-1.0));
  // Deviations -1, 0, 1 and -1, 1, 0: 1 / sqrt(2 * 2).
  CHECK(pearson({1.0, 2.0, 3.0}, {1.0, 3.0, 2.0}) == doctest::Approx(0.5));
  CHECK(pearson({1.0, 2.0, 3.0}, {7.0, 7.0, 7.0}) == 0.0);
}

TEST_CASE("spearman of hand-computed rankings with mid-ranks") {
  CHECK(spearman({1, 2, 3}, {10, 100, 1000}) == doctest::Approx(1.0));
  CHECK(spearman({1, 2, 3, 4, 5}, {5, 6, 7, 8, 7}) == doctest::Approx(0.8207826816681233));
  CHECK(spearman({86, 97, 99, 100, 101, 103, 106, 110, 112, 113},
                 {2, 20, 28, 27, 50, 29, 7, 17, 6, 12}) == doctest::Approx(-29.0 / 165.0));
  CHECK(spearman({1, 1}, {1, 2}) == 0.0);
}

TEST_CASE("bootstrap_interval narrows with the sample and repeats with the seed") {
  Rng rng(2);
  std::vector<double> sample;
  for (int i = 0; i < 400; ++i) sample.push_back(10.0 + rng.normal());
  const Interval interval = bootstrap_interval(sample, mean, Rng(5), 800);
  // The standard error is 0.05: 1.96 on both sides is 0.196 wide.
  CHECK(interval.high - interval.low == doctest::Approx(0.196).epsilon(0.15));
  CHECK(interval.low < mean(sample));
  CHECK(interval.high > mean(sample));
  const Interval again = bootstrap_interval(sample, mean, Rng(5), 800);
  CHECK(again.low == interval.low);
  CHECK(again.high == interval.high);
}

TEST_CASE("kendall_interval holds the coefficient and repeats with the seed") {
  Rng rng(9);
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 60; ++i) {
    a.push_back(rng.normal());
    b.push_back(a.back() + rng.normal());
  }
  const double tau = kendall_tau(a, b);
  const Interval interval = kendall_interval(a, b, Rng(1), 400);
  CHECK(interval.low < tau);
  CHECK(interval.high > tau);
  CHECK(interval.high - interval.low > 0.1);
  CHECK(interval.high - interval.low < 0.5);
  CHECK(kendall_interval(a, b, Rng(1), 400).low == interval.low);
}

}  // namespace
}  // namespace lathe
