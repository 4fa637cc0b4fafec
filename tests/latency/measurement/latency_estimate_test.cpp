#include "latency/measurement/latency_estimate.h"

#include <doctest/doctest.h>

#include "core/error.h"

namespace lathe::latency {
namespace {

LatencyEstimate example() {
  LatencyEstimate estimate;
  estimate.median_ms = 12.340000000000001;
  estimate.interval_ms = {12.3, 12.4, 0.9};
  estimate.p90_ms = 12.9;
  estimate.p99_ms = 14.0;
  estimate.kept = 40;
  estimate.rejected = 3;
  estimate.processes = 3;
  estimate.wall_s = 1.5;
  estimate.peak_memory_bytes = 30'000'000'000;
  estimate.verdict = Verdict::Throttled;
  estimate.conditions.engine = "xnnpack";
  estimate.conditions.engine_version = "2022-02";
  estimate.conditions.isa = "armv8.2 \"dotprod\"";
  estimate.conditions.threads = 4;
  estimate.conditions.precision = Precision::Int8;
  estimate.conditions.governor = "performance";
  estimate.conditions.frequency_hz = 1.8e9;
  estimate.conditions.temperature_c = 61.5;
  estimate.conditions.device_fingerprint = "abc";
  estimate.conditions.extra = {{"reference_drift", "+0.0100"}};
  return estimate;
}

TEST_CASE("to_json of a latency estimate is read back exactly") {
  const LatencyEstimate estimate = example();
  const LatencyEstimate back = latency_estimate_from_json(to_json(estimate));
  CHECK(to_json(back) == to_json(estimate));
  CHECK(back.median_ms == estimate.median_ms);
  CHECK(back.interval_ms.low == 12.3);
  CHECK(back.interval_ms.high == 12.4);
  CHECK(back.interval_ms.level == 0.9);
  CHECK(back.kept == 40);
  CHECK(back.rejected == 3);
  CHECK(back.peak_memory_bytes == 30'000'000'000);
  CHECK(back.verdict == Verdict::Throttled);
  CHECK(back.conditions.precision == Precision::Int8);
  CHECK(back.conditions.isa == estimate.conditions.isa);
  CHECK(back.conditions.extra == estimate.conditions.extra);
}

TEST_CASE("an estimate keeps its energy, and lacks it where it was not measured") {
  LatencyEstimate estimate = example();
  CHECK_FALSE(latency_estimate_from_json(to_json(estimate)).energy.has_value());
  estimate.energy = EnergyEstimate{5.5, {5.4, 5.7, 0.95}, 0.45, "hwmon0 ina260 power1"};
  const LatencyEstimate back = latency_estimate_from_json(to_json(estimate));
  REQUIRE(back.energy.has_value());
  CHECK(back.energy->mean_mj == 5.5);
  CHECK(back.energy->interval_mj.low == 5.4);
  CHECK(back.energy->interval_mj.high == 5.7);
  CHECK(back.energy->interval_mj.level == 0.95);
  CHECK(back.energy->power_w == 0.45);
  CHECK(back.energy->sensor == "hwmon0 ina260 power1");
  estimate.energy->mean_mj = -1.0;
  CHECK_THROWS_AS(latency_estimate_from_json(to_json(estimate)), DataError);
}

TEST_CASE("latency_estimate_from_json refuses malformed text") {
  const std::string good = to_json(example());
  const auto changed = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
  };
  CHECK_THROWS_AS(latency_estimate_from_json(""), DataError);
  CHECK_THROWS_AS(latency_estimate_from_json("[1]"), DataError);
  CHECK_THROWS_AS(latency_estimate_from_json(good.substr(0, good.size() / 2)), DataError);
  CHECK_THROWS_AS(latency_estimate_from_json(changed("\"p90_ms\"", "\"p91_ms\"")), DataError);
  CHECK_THROWS_AS(latency_estimate_from_json(changed("\"kept\":40", "\"kept\":\"40\"")), DataError);
  CHECK_THROWS_WITH_AS(latency_estimate_from_json(changed("throttled", "throttlet")),
                       "latency estimate: verdict = throttlet, expected one of clean, disturbed, "
                       "throttled, unsteady, "
                       "invalid_timing",
                       DataError);
  CHECK_THROWS_WITH_AS(
      latency_estimate_from_json(changed("\"low_ms\":12.3", "\"low_ms\":12.5")),
      "latency estimate: median_ms = 12.340000, expected a positive time with low_ms <= high_ms",
      DataError);
}

TEST_CASE("precision and verdict names are read back and unknown ones list the names") {
  for (Precision precision : {Precision::Fp32, Precision::Fp16, Precision::Int8}) {
    CHECK(precision_from_string(to_string(precision)) == precision);
  }
  for (Verdict verdict : {Verdict::Clean, Verdict::Disturbed, Verdict::Throttled, Verdict::Unsteady,
                          Verdict::InvalidTiming}) {
    CHECK(verdict_from_string(to_string(verdict)) == verdict);
  }
  CHECK_THROWS_WITH_AS(precision_from_string("float"),
                       "precision = float, expected one of fp32, fp16, int8", ConfigError);
}

}  // namespace
}  // namespace lathe::latency
