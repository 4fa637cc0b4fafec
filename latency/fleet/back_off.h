#pragma once

#include "core/rng.h"

namespace lathe::latency {

struct BackOffOptions {
  double first_s = 0.2;
  double factor = 2.0;
  double longest_s = 15.0;
};

/// Waiting times between tries that grow exponentially, each drawn from the upper half of its range
/// so that many controllers do not return at one moment. Not thread-safe.
class BackOff {
 public:
  BackOff(const BackOffOptions& options, const Rng& rng)
      : options_(options), rng_(rng), ceiling_s_(options.first_s) {}

  /// Returns how long to wait before the next try.
  double next_s() {
    const double wait_s = rng_.uniform(0.5 * ceiling_s_, ceiling_s_);
    ceiling_s_ = ceiling_s_ * options_.factor < options_.longest_s ? ceiling_s_ * options_.factor
                                                                   : options_.longest_s;
    return wait_s;
  }
  /// A try has succeeded.
  void reset() { ceiling_s_ = options_.first_s; }

 private:
  BackOffOptions options_;
  Rng rng_;
  double ceiling_s_;
};

}  // namespace lathe::latency
