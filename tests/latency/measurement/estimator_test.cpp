#include "latency/measurement/estimator.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/rng.h"
#include "core/statistics.h"

namespace lathe::latency {
namespace {

std::vector<double> normal_sample(Rng& rng, size_t size, double centre, double sd) {
  std::vector<double> sample(size);
  for (double& value : sample) value = centre + sd * rng.normal();
  return sample;
}

TEST_CASE("median_standard_error of normal data is 1.2533 sd / sqrt(n)") {
  for (size_t size : {9u, 25u, 101u, 2001u}) {
    CAPTURE(size);
    Rng rng(size);
    double total = 0.0;
    const int repetitions = 400;
    for (int i = 0; i < repetitions; ++i)
      total += median_standard_error(normal_sample(rng, size, 3.0, 2.0));
    const double expected = 1.2533 * 2.0 / std::sqrt(static_cast<double>(size));
    CHECK(total / repetitions == doctest::Approx(expected).epsilon(0.10));
  }
}

TEST_CASE("median_standard_error of tiny samples claims little") {
  CHECK(median_standard_error({4.0}) == 1.0);
  CHECK(median_standard_error({4.0, 4.5}) == doctest::Approx(0.5));
  CHECK_THROWS_WITH_AS(median_standard_error({}), "median_standard_error: the sample is empty",
                       InvariantError);
}

TEST_CASE("estimate_ratio is the mean of the processes' medians, whatever their sizes") {
  const RatioEstimate estimate =
      estimate_ratio({{0.1, 0.2, 9.0}, {}, {0.4, 0.4, 0.4, 0.4, 0.4}}, 0.95, ProcessVariance());
  CHECK(estimate.log_ratio == doctest::Approx(0.3));
  CHECK(estimate.between_degrees == 1.0);
}

TEST_CASE(
    "estimate_ratio widens the interval when processes disagree, as one process cannot know") {
  Rng rng(3);
  const std::vector<double> a = normal_sample(rng, 50, 0.00, 0.001);
  const std::vector<double> b = normal_sample(rng, 50, 0.00, 0.001);
  std::vector<double> shifted = b;
  for (double& value : shifted) value += 0.05;
  const double agreeing = estimate_ratio({a, b}, 0.95, ProcessVariance()).half_width;
  const double disagreeing = estimate_ratio({a, shifted}, 0.95, ProcessVariance()).half_width;
  const double alone = estimate_ratio({a}, 0.95, ProcessVariance()).half_width;
  CHECK(agreeing < 0.008);
  CHECK(disagreeing > 0.025);  // the true centre is anywhere between the two
  CHECK(alone > agreeing);
  CHECK(estimate_ratio({a, b}, 0.99, ProcessVariance()).half_width > agreeing);
}

TEST_CASE("estimate_ratio widens the interval of blocks that follow each other's level") {
  Rng rng(11);
  std::vector<double> independent;
  std::vector<double> correlated;
  double level = 0.0;
  for (int i = 0; i < 400; ++i) {
    independent.push_back(0.01 * rng.normal());
    level = 0.9 * level + std::sqrt(1.0 - 0.81) * 0.01 * rng.normal();
    correlated.push_back(level);
  }
  const ProcessVariance none(0.0, 4.0);
  const double narrow = estimate_ratio({independent}, 0.95, none).half_width;
  const double wide = estimate_ratio({correlated}, 0.95, none).half_width;
  CHECK(wide > 1.7 * narrow);
}

TEST_CASE("estimate_ratio rejects an empty and a NaN sample") {
  CHECK_THROWS_WITH_AS(estimate_ratio({{}, {}}, 0.95, ProcessVariance()),
                       "estimate_ratio: there is no sample", InvariantError);
  CHECK_THROWS_AS(
      estimate_ratio({{std::numeric_limits<double>::quiet_NaN()}}, 0.95, ProcessVariance()),
      InvariantError);
}

TEST_CASE("ProcessVariance learns the board's standard deviation from jobs of two processes") {
  Rng rng(17);
  for (double truth : {0.001, 0.006}) {
    CAPTURE(truth);
    ProcessVariance variance;
    for (int job = 0; job < 300; ++job) {
      // Every third job is so noisy that it says nothing.
      const double noise = job % 3 == 0 ? 0.05 : 0.001;
      std::vector<std::vector<double>> samples;
      for (int process = 0; process < 2; ++process) {
        samples.push_back(normal_sample(rng, 15, truth * rng.normal(), noise));
      }
      variance.learn(estimate_ratio(samples, 0.95, variance));
    }
    CHECK(std::sqrt(variance.variance()) == doctest::Approx(truth).epsilon(0.25));
    CHECK(variance.weight() <= 200.0);
  }
}

TEST_CASE("ProcessVariance learns nothing from a single process and rejects a negative prior") {
  ProcessVariance variance;
  variance.learn(estimate_ratio({{0.1, 0.2, 0.3}}, 0.95, variance));
  CHECK(variance.weight() == 4.0);
  CHECK(variance.variance() == doctest::Approx(9e-6));
  CHECK_THROWS_AS(ProcessVariance(-0.1, 4.0), InvariantError);
  CHECK_THROWS_AS(ProcessVariance(0.1, 0.0), InvariantError);
}

TEST_CASE("DriftVariance tells drift between measurements from what differs between processes") {
  constexpr double kProcess = 0.006;
  for (const double drift : {0.0, 0.01, 0.03}) {
    CAPTURE(drift);
    std::vector<double> found;
    for (uint64_t seed = 0; seed < 200; ++seed) {
      Rng rng(seed);
      DriftVariance variance;
      for (int i = 0; i < 30; ++i) {
        const double level = 1.3 + drift * rng.normal();
        variance.learn(1, level + kProcess * rng.normal(), level + kProcess * rng.normal());
      }
      found.push_back(variance.of_control(1));
      CHECK(variance.of_control(0) == doctest::Approx(0.002 * 0.002));
    }
    CHECK(mean(found) == doctest::Approx(drift * drift).epsilon(0.1).scale(1e-4));
  }
}

TEST_CASE("DriftVariance starts from a prior, forgets, and spares networks that caches hold") {
  DriftVariance variance;
  CHECK(variance.of_control(0) == doctest::Approx(0.002 * 0.002));
  CHECK(variance.of_control(1) == doctest::Approx(0.002 * 0.002));
  CHECK(variance.of(0) == 0.0);
  for (int i = 0; i < 40; ++i) variance.learn(1, 0.1 * (i % 2), 0.1 * (i % 2));
  CHECK(variance.count() == 0);  // the small control's
  for (int i = 0; i < 40; ++i) variance.learn(0, 0.02 * (i % 2), 0.02 * (i % 2));
  CHECK(variance.count() == 40);
  const double small = std::sqrt(variance.of_control(0));
  const double large = std::sqrt(variance.of_control(1));
  CHECK(small == doctest::Approx(0.01).epsilon(0.05));
  CHECK(large == doctest::Approx(0.05).epsilon(0.05));
  const auto [small_bytes, large_bytes] = DriftVariance::kControlBytes;
  CHECK(std::sqrt(variance.of(small_bytes / 4)) == doctest::Approx(small / 4.0));
  CHECK(std::sqrt(variance.of(small_bytes)) == doctest::Approx(small));
  const auto between = static_cast<int64_t>(
      std::sqrt(static_cast<double>(small_bytes) * static_cast<double>(large_bytes)));
  CHECK(std::sqrt(variance.of(between)) == doctest::Approx(0.5 * (small + large)));
  CHECK(variance.of(large_bytes) == doctest::Approx(variance.of_control(1)));
  CHECK(variance.of(int64_t{1} << 34) == doctest::Approx(variance.of_control(1)));
  for (int i = 0; i < 40; ++i) variance.learn(1, 0.3, 0.3);
  CHECK(std::sqrt(variance.of_control(1)) < 0.001);
  CHECK(variance.count() == 40);
  // A large control that stands still by chance does not spare large networks.
  CHECK(std::sqrt(variance.of(large_bytes)) == doctest::Approx(small));
  CHECK_THROWS_AS(variance.learn(0, 0.1, std::nan("")), InvariantError);
}

TEST_CASE("without_slow leaves out what is beyond the first decile by more than the limit") {
  std::vector<double> quiet(20, 0.002);
  quiet[3] = 0.00219;
  std::vector<double> mixed = {0.00221, 0.002, 0.0026, 0.0027};
  const auto kept = without_slow({quiet, mixed, {0.0026, 0.0026}, {}}, 0.1);
  REQUIRE(kept.size() == 4);
  CHECK(kept[0] == quiet);
  CHECK(kept[1] == std::vector<double>{0.002});
  CHECK(kept[2].empty());
  CHECK(kept[3].empty());
  // One process that was quick by chance is less than a tenth: it does not make the others slow.
  std::vector<double> chance(100, 0.0026);
  chance[50] = 0.002;
  CHECK(without_slow({chance}, 0.1)[0] == chance);
  CHECK(without_slow({{}, {}}, 0.1).size() == 2);
}

TEST_CASE("calibrated_reference_s is the mean of the processes' medians") {
  CHECK(calibrated_reference_s({{0.002, 0.002, 0.9}, {}, {0.004}}) == doctest::Approx(0.003));
  CHECK_THROWS_WITH_AS(calibrated_reference_s({{}}), "calibrated_reference_s: there is no time",
                       InvariantError);
  CHECK_THROWS_WITH_AS(calibrated_reference_s({{0.0}}),
                       "calibrated_reference_s: seconds = 0.000000, expected a positive time",
                       InvariantError);
}

}  // namespace
}  // namespace lathe::latency
