#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "network/quantize.h"

namespace lathe::network {

/// How the range of an activation is chosen from what calibration images make of it.
enum class RangeMethod {
  MinMax,         ///< all values
  MovingAverage,  ///< of the batches' smallest and largest values
  Percentile,     ///< all but a few values on each side
  Mse,            ///< the range with the least squared rounding error
  Entropy,        ///< the range whose rounded distribution diverges least (Kullback-Leibler)
};
const char* to_string(RangeMethod method);  ///< "min_max", "moving_average", "percentile", ...
/// \throws ConfigError listing the names if there is none called `name`.
RangeMethod range_method_from_string(const std::string& name);
std::vector<std::string> range_method_names();

struct RangeOptions {
  RangeMethod method = RangeMethod::Mse;
  double moving_share = 0.1;  ///< of the newest batch in a moving average
  double percentile = 99.99;  ///< of the values lie below the upper end, and above the lower one
};

/// Watches one tensor. Not thread-safe.
class RangeObserver {
 public:
  virtual ~RangeObserver() = default;
  /// Takes the values of one batch. \throws InvariantError if one is not finite.
  virtual void observe(const float* values, int64_t count) = 0;
  /// Returns the range so far; zero alone before any value.
  virtual ValueRange range() const = 0;
};

std::unique_ptr<RangeObserver> make_range_observer(const RangeOptions& options);

/// Watches every tensor of a network. Not thread-safe.
class RangeCollector {
 public:
  explicit RangeCollector(RangeOptions options) : options_(options) {}
  /// Takes what one batch made of the node's output. \throws InvariantError naming the node if a
  /// value is not finite.
  void observe(const std::string& node, const float* values, int64_t count);
  ValueRanges ranges() const;

 private:
  RangeOptions options_;
  std::map<std::string, std::unique_ptr<RangeObserver>> observers_;
};

}  // namespace lathe::network
