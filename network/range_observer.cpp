#include "network/range_observer.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "network/range_search.h"
#include "network/value_histogram.h"

namespace lathe::network {
namespace {

constexpr RangeMethod kMethods[] = {RangeMethod::MinMax, RangeMethod::MovingAverage,
                                    RangeMethod::Percentile, RangeMethod::Mse,
                                    RangeMethod::Entropy};

ValueRange extremes(const float* values, int64_t count) {
  ValueRange range;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) throw InvariantError("range: a value is not finite");
    range.low = std::min(range.low, values[i]);
    range.high = std::max(range.high, values[i]);
  }
  return range;
}

class MinMaxObserver : public RangeObserver {
 public:
  void observe(const float* values, int64_t count) override {
    const ValueRange batch = extremes(values, count);
    range_.low = std::min(range_.low, batch.low);
    range_.high = std::max(range_.high, batch.high);
  }
  ValueRange range() const override { return range_; }

 private:
  ValueRange range_;
};

class MovingAverageObserver : public RangeObserver {
 public:
  explicit MovingAverageObserver(double share) : share_(static_cast<float>(share)) {}
  void observe(const float* values, int64_t count) override {
    const ValueRange batch = extremes(values, count);
    if (!seen_) range_ = batch;
    range_.low += share_ * (batch.low - range_.low);
    range_.high += share_ * (batch.high - range_.high);
    seen_ = true;
  }
  ValueRange range() const override { return range_; }

 private:
  float share_;
  bool seen_ = false;
  ValueRange range_;
};

/// Keeps a histogram, from which the range is chosen when it is asked for.
class HistogramObserver : public RangeObserver {
 public:
  explicit HistogramObserver(const RangeOptions& options) : options_(options) {}
  void observe(const float* values, int64_t count) override { histogram_.add(values, count); }
  ValueRange range() const override {
    if (options_.method == RangeMethod::Mse) return least_error_range(histogram_);
    if (options_.method == RangeMethod::Entropy) return least_divergence_range(histogram_);
    const double share = options_.percentile / 100.0;
    return {static_cast<float>(std::min(0.0, histogram_.quantile(1.0 - share))),
            static_cast<float>(std::max(0.0, histogram_.quantile(share)))};
  }

 private:
  RangeOptions options_;
  ValueHistogram histogram_;
};

}  // namespace

const char* to_string(RangeMethod method) {
  switch (method) {
    case RangeMethod::MinMax:
      return "min_max";
    case RangeMethod::MovingAverage:
      return "moving_average";
    case RangeMethod::Percentile:
      return "percentile";
    case RangeMethod::Mse:
      return "mse";
    case RangeMethod::Entropy:
      return "entropy";
  }
  return "unknown";
}

std::vector<std::string> range_method_names() {
  std::vector<std::string> names;
  for (const RangeMethod method : kMethods) names.emplace_back(to_string(method));
  return names;
}

RangeMethod range_method_from_string(const std::string& name) {
  for (const RangeMethod method : kMethods) {
    if (name == to_string(method)) return method;
  }
  throw ConfigError("range observer = " + name +
                    ", expected one of: " + join(range_method_names(), ", "));
}

std::unique_ptr<RangeObserver> make_range_observer(const RangeOptions& options) {
  if (options.method == RangeMethod::MinMax) return std::make_unique<MinMaxObserver>();
  if (options.method == RangeMethod::MovingAverage) {
    return std::make_unique<MovingAverageObserver>(options.moving_share);
  }
  return std::make_unique<HistogramObserver>(options);
}

void RangeCollector::observe(const std::string& node, const float* values, int64_t count) {
  std::unique_ptr<RangeObserver>& observer = observers_[node];
  if (observer == nullptr) observer = make_range_observer(options_);
  try {
    observer->observe(values, count);
  } catch (const InvariantError&) {
    throw InvariantError("calibration: " + node + ": its output is not finite");
  }
}

ValueRanges RangeCollector::ranges() const {
  ValueRanges ranges;
  for (const auto& [node, observer] : observers_) ranges[node] = observer->range();
  return ranges;
}

}  // namespace lathe::network
