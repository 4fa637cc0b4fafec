#include "latency/measurement/warm_up.h"

#include <cmath>
#include <string>

#include "core/error.h"
#include "core/statistics.h"

namespace lathe::latency {

WarmUp::WarmUp(const WarmUpOptions& options) : options_(options) {
  if (options.min_window < 1) {
    throw InvariantError("WarmUp: min_window = " + std::to_string(options.min_window) +
                         ", expected at least 1");
  }
  if (!(options.tolerance > 0.0)) {
    throw InvariantError("WarmUp: tolerance = " + std::to_string(options.tolerance) +
                         ", expected more than 0");
  }
}

bool WarmUp::feed(double inference_s) {
  if (!std::isfinite(inference_s) || inference_s < 0.0) {
    throw InvariantError("WarmUp::feed: inference_s = " + std::to_string(inference_s) +
                         ", expected a time of at least 0");
  }
  if (done_) return true;
  ++inferences_;
  total_s_ += inference_s;
  window_s_ += inference_s;
  window_.push_back(inference_s);
  if (static_cast<int>(window_.size()) < options_.min_window) return false;
  constexpr size_t kMaxWindow = 100000;  // a clock that stands still must not go on for ever
  if (window_s_ < options_.min_window_s && window_.size() < kMaxWindow) return false;

  const double before_s = median_s_;
  median_s_ = median(window_);
  window_.clear();
  window_s_ = 0.0;
  ++windows_;
  if (windows_ < 2) return false;
  agreed_ = std::abs(median_s_ - before_s) <= options_.tolerance * before_s;
  done_ = agreed_ || total_s_ >= options_.limit_s;
  return done_;
}

}  // namespace lathe::latency
