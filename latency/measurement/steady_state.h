#pragma once

#include <deque>

namespace lathe::latency {

struct SteadyStateOptions {
  double span_s = 30.0;        ///< the last seconds that are looked at
  double tolerance = 0.02;     ///< its halves' times agree within this, relative
  double temperature_c = 0.5;  ///< and its halves' mean temperatures, where they are known
};

/// Decides when a board that runs one network without pause has come to its thermal steady state:
/// over the last span, times and temperatures of the first half are those of the second. No clock
/// inside. Not thread-safe.
class SteadyState {
 public:
  /// \throws InvariantError if an option is not positive.
  explicit SteadyState(const SteadyStateOptions& options = {});

  /// Takes what `duration_s` seconds of running gave: median seconds of an inference, and the
  /// temperature (-1: unknown). Returns reached(). \throws InvariantError if a time is not
  /// positive.
  bool feed(double inference_s, double temperature_c, double duration_s);
  bool reached() const { return reached_; }
  double total_s() const { return total_s_; }

 private:
  struct Window {
    double end_s = 0.0;
    double inference_s = 0.0;
    double temperature_c = -1.0;
  };
  SteadyStateOptions options_;
  std::deque<Window> windows_;  ///< of the last span
  double total_s_ = 0.0;
  bool reached_ = false;
};

}  // namespace lathe::latency
