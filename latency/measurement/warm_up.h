#pragma once

#include <vector>

namespace lathe::latency {

struct WarmUpOptions {
  int min_window = 2;           ///< inferences of a window at least
  double min_window_s = 0.002;  ///< a window goes on until it lasts this long
  /// Two consecutive windows agree within this, relative. What an inference takes too long while
  /// the network is cold falls to about a quarter with each, so the next window has a sixteenth.
  double tolerance = 0.05;
  double limit_s =
      1.0;  ///< time in inferences after which the warm-up ends anyway (after two windows)
};

/// Decides when a network is warm: fed one inference after the other, it is done when the medians
/// of two consecutive windows agree. No clock inside. Not thread-safe.
class WarmUp {
 public:
  /// \throws InvariantError if an option is out of range.
  explicit WarmUp(const WarmUpOptions& options = {});

  /// Takes the next inference's time and returns done(). Times after the end are ignored.
  /// \throws InvariantError if `inference_s` is negative or not finite.
  bool feed(double inference_s);
  bool done() const { return done_; }
  /// True if the windows agreed; false if the limit ended it.
  bool agreed() const { return agreed_; }
  /// Median seconds of an inference in the last full window; 0 before there is one.
  double inference_s() const { return median_s_; }
  int inferences() const { return inferences_; }

 private:
  WarmUpOptions options_;
  std::vector<double> window_;
  double window_s_ = 0.0;
  double total_s_ = 0.0;
  double median_s_ = 0.0;
  int inferences_ = 0;
  int windows_ = 0;
  bool done_ = false;
  bool agreed_ = false;
};

}  // namespace lathe::latency
