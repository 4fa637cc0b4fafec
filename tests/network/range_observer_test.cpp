#include "network/range_observer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"
#include "network/range_search.h"
#include "network/value_histogram.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

using test::message_of;

/// Normal values with a few far away, as activations have.
std::vector<float> heavy_tailed(int64_t count, Rng rng) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const bool far = i % 1000 == 7;
    values.push_back(static_cast<float>(rng.normal() * (far ? 20.0 : 1.0)));
  }
  return values;
}

ValueHistogram histogram_of(const std::vector<float>& values) {
  ValueHistogram histogram;
  histogram.add(values.data(), static_cast<int64_t>(values.size()));
  return histogram;
}

/// By definition, value for value.
double exact_error(const std::vector<float>& values, ValueRange range) {
  const TensorScale scale = scale_for(range);
  double error = 0.0;
  for (const float value : values) {
    const double difference = double{value} - double{scale.dequantize(scale.quantize(value))};
    error += difference * difference;
  }
  return error / static_cast<double>(values.size());
}

TEST_CASE("A histogram is the same for every order and division of the values") {
  std::vector<float> values = heavy_tailed(20000, Rng(1));
  const ValueHistogram whole = histogram_of(values);
  Rng rng(2);
  rng.shuffle(values);
  ValueHistogram parts;
  for (size_t i = 0; i < values.size(); i += 1000) parts.add(values.data() + i, 1000);
  CHECK(parts.count() == whole.count());
  CHECK(parts.low() == whole.low());
  CHECK(parts.high() == whole.high());
  const auto a = whole.bins();
  const auto b = parts.bins();
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].centre == b[i].centre);
    CHECK(a[i].count == b[i].count);
  }
  CHECK(a.size() > 1000);
  CHECK(a.size() <= 4096);
}

TEST_CASE("Quantiles are those of the sorted values") {
  std::vector<float> values = heavy_tailed(20000, Rng(3));
  for (size_t i = 0; i < values.size(); i += 4) values[i] = 0.0F;
  const ValueHistogram histogram = histogram_of(values);
  CHECK(histogram.zeros() == 5000);
  std::sort(values.begin(), values.end());
  const double width = (double{values.back()} - double{values.front()}) / 1000.0;
  for (const double share : {0.001, 0.1, 0.3, 0.5, 0.7, 0.99, 0.995}) {
    CAPTURE(share);
    const auto at = static_cast<size_t>(share * 20000.0);
    CHECK(std::abs(histogram.quantile(share) - double{values[at]}) < width);
  }
}

TEST_CASE("A histogram that began with almost nothing follows what comes") {
  ValueHistogram histogram;
  const float tiny = 1e-30F;
  histogram.add(&tiny, 1);
  const float usual = 0.5F;
  for (int i = 0; i < 9; ++i) histogram.add(&usual, 1);
  CHECK(histogram.quantile(0.9) == doctest::Approx(0.5).epsilon(0.01));
}

TEST_CASE("Histograms take zeros, nothing and tiny values, and refuse what is not finite") {
  ValueHistogram histogram;
  const std::vector<float> zeros(10, 0.0F);
  histogram.add(zeros.data(), 10);
  histogram.add(zeros.data(), 0);
  CHECK(histogram.bins().empty());
  CHECK(histogram.quantile(0.5) == 0.0);
  const std::vector<float> tiny = {1e-30F, -2e-30F};
  histogram.add(tiny.data(), 2);
  CHECK(histogram.count() == 12);
  CHECK(histogram.low() == -2e-30F);
  const std::vector<float> large = {1e30F};
  histogram.add(large.data(), 1);
  CHECK(histogram.high() == 1e30F);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(message_of<InvariantError>([&] { histogram.add(&nan, 1); }) ==
        "ValueHistogram::add: a value is not finite");
}

TEST_CASE("rounding_error is that of the values themselves") {
  const std::vector<float> values = heavy_tailed(20000, Rng(4));
  const ValueHistogram histogram = histogram_of(values);
  for (const ValueRange range : {ValueRange{-60.0F, 60.0F}, {-4.0F, 4.0F}, {-2.0F, 8.0F}}) {
    const double exact = exact_error(values, range);
    CHECK(rounding_error(histogram, range) == doctest::Approx(exact).epsilon(0.05));
  }
}

TEST_CASE("least_error_range is as good as the best of a grid of ranges") {
  for (const bool relu : {false, true}) {
    CAPTURE(relu);
    std::vector<float> values = heavy_tailed(20000, Rng(5));
    for (float& value : values) {
      if (relu) value = std::max(value, 0.0F);
    }
    const ValueHistogram histogram = histogram_of(values);
    const ValueRange range = least_error_range(histogram);
    const double found = exact_error(values, range);
    double best = std::numeric_limits<double>::infinity();
    for (int low = 0; low <= 40; ++low) {
      for (int high = 1; high <= 40; ++high) {
        const ValueRange tried{histogram.low() * static_cast<float>(low) / 40.0F,
                               histogram.high() * static_cast<float>(high) / 40.0F};
        best = std::min(best, exact_error(values, tried));
      }
    }
    CHECK(found < 1.02 * best);
    CHECK(found < 0.99 * exact_error(values, {histogram.low(), histogram.high()}));
    CHECK(range.high < histogram.high());
  }
}

TEST_CASE("least_divergence_range cuts far values off and keeps uniform ones") {
  const ValueHistogram tailed = histogram_of(heavy_tailed(50000, Rng(6)));
  const ValueRange cut = least_divergence_range(tailed);
  CHECK(cut.high < 0.5F * tailed.high());
  CHECK(cut.high > 2.0F);
  Rng rng(7);
  std::vector<float> uniform;
  for (int i = 0; i < 50000; ++i) uniform.push_back(static_cast<float>(rng.uniform(-1.0, 1.0)));
  CHECK(least_divergence_range(histogram_of(uniform)).high > 0.95F);
}

TEST_CASE("Each method gives the range that one computes by hand") {
  const std::vector<float> first = {-1.0F, 0.0F, 3.0F};
  const std::vector<float> second = {0.5F, 1.0F, 2.0F};
  const auto range_of = [&](RangeOptions options) {
    const auto observer = make_range_observer(options);
    observer->observe(first.data(), 3);
    observer->observe(second.data(), 3);
    return observer->range();
  };
  const ValueRange all = range_of({RangeMethod::MinMax});
  CHECK(all.low == -1.0F);
  CHECK(all.high == 3.0F);
  const ValueRange average = range_of({RangeMethod::MovingAverage, 0.25});
  CHECK(average.low == doctest::Approx(-0.75));  // the second batch's range begins at zero
  CHECK(average.high == doctest::Approx(2.75));
  const ValueRange half = range_of({RangeMethod::Percentile, 0.1, 50.0});
  CHECK(half.low == 0.0F);
  CHECK(half.high == doctest::Approx(0.5).epsilon(0.1));
  const ValueRange none = make_range_observer({RangeMethod::Mse})->range();
  CHECK(none.low == 0.0F);
  CHECK(none.high == 0.0F);
}

TEST_CASE("A collector keeps the nodes apart and names the one that is not finite") {
  RangeCollector collector({RangeMethod::MinMax});
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {-2.0F, 5.0F, infinity};
  collector.observe("a", values.data(), 2);
  collector.observe("b", values.data(), 1);
  CHECK(collector.ranges().at("a").high == 5.0F);
  CHECK(collector.ranges().at("b").high == 0.0F);
  for (const std::string& name : range_method_names()) {
    RangeCollector each({range_method_from_string(name)});
    CHECK(message_of<InvariantError>([&] { each.observe("c", values.data(), 3); }) ==
          "calibration: c: its output is not finite");
  }
}

TEST_CASE("Methods are known by their names") {
  for (const std::string& name : range_method_names()) {
    CHECK(to_string(range_method_from_string(name)) == name);
  }
  CHECK(message_of<ConfigError>([] { range_method_from_string("best"); }) ==
        "range observer = best, expected one of: min_max, moving_average, percentile, mse, "
        "entropy");
}

}  // namespace
}  // namespace lathe::network
