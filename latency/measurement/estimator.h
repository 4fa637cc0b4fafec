#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace lathe::latency {

struct RatioEstimate;

/// How much one network's speed differs between fresh processes on a board (address layout, page
/// colours), as variance of the logarithm of candidate/reference. Starts from a prior and learns
/// from every job, because the two or three processes of one job say little about it. Value type.
class ProcessVariance {
 public:
  /// `prior_sd` is relative (0.003: 0.3 %); `prior_weight` how many degrees of freedom it counts
  /// as.
  explicit ProcessVariance(double prior_sd = 0.003, double prior_weight = 4.0);

  /// Adds the evidence of one job, the more the less its blocks scatter. Old evidence fades beyond
  /// 200 degrees of freedom.
  void learn(const RatioEstimate& job);

  double variance() const;  ///< at least 0
  double weight() const { return weight_; }

 private:
  double sum_;
  double weight_;
};

/// How far networks drift against the reference network over minutes, as variance of the logarithm
/// of candidate/reference: what is at work for longer than a job takes, such as other guests of a
/// host at the shared cache, no job sees in its own blocks. Learned from control networks that are
/// measured again and again: what drifts is what a cache holds one day and not the next, so one of
/// them is small and one is larger than most caches. Value type.
class DriftVariance {
 public:
  /// Bytes of the control networks' weights, about.
  static constexpr std::array<int64_t, 2> kControlBytes = {2'000'000, 13'400'000};
  static constexpr size_t kControls = kControlBytes.size();

  /// Adds what two processes, one right after the other, found for log(control/reference), of the
  /// control network with kControlBytes[control]. \throws InvariantError if one is not finite.
  void learn(size_t control, double first, double second);

  /// Of a control network over the last measurements, without what differs between processes;
  /// while they are few, a prior of 0.2 % counts like two of them.
  double of_control(size_t control) const;
  /// Of a network with so many bytes of weights: its standard deviation lies between those of the
  /// controls by the logarithm of its bytes, below the small one's it falls with the bytes. The
  /// large control counts for no less than the small one.
  double of(int64_t weight_bytes) const;
  /// How often each control was measured, of those that are remembered.
  int64_t count() const;

 private:
  using LogRatios = std::deque<std::pair<double, double>>;
  std::array<LogRatios, kControls> log_ratios_;  ///< the last ones
};

/// The location of log(candidate/reference) with its uncertainty.
struct RatioEstimate {
  double log_ratio = 0.0;
  double half_width = 0.0;  ///< of the confidence interval of log_ratio
  double within_se = 0.0;   ///< standard error that more blocks would reduce
  double between_se = 0.0;  ///< standard error that more processes would reduce
  double between = 0.0;     ///< this job's own unbiased estimate of the variance between processes
  double between_degrees = 0.0;
  double median_variance = 0.0;  ///< mean variance of a process's median, due to its blocks
};

/// Returns the mean over processes of each process's median, with an interval of `level` that holds
/// the variance within processes (order statistics of the median: McKean and Schrader, 1984,
/// widened for autocorrelated blocks) and between them (this job's processes pooled with
/// `variance`), and Student's t with Satterthwaite's degrees of freedom. `samples[p]` are the log
/// ratios of process p in time order; empty processes are ignored. \throws InvariantError if there
/// is no sample or one is not finite.
RatioEstimate estimate_ratio(const std::vector<std::vector<double>>& samples, double level,
                             const ProcessVariance& variance);

/// Returns the standard error of the sample's median; with fewer than 3 values the range, or 1 for
/// a single value: nothing is known.
double median_standard_error(const std::vector<double>& sample);

/// Returns the times without those of more than `max_slowdown` above the first decile of all: of
/// a core that others keep busy in turns, what it takes when it is left alone.
std::vector<std::vector<double>> without_slow(const std::vector<std::vector<double>>& seconds,
                                              double max_slowdown);

/// Returns the reference network's calibrated seconds: the mean over processes of each process's
/// median. `seconds[p]` are the times of one inference in process p; empty processes are ignored.
/// \throws InvariantError if there is no time or one is not positive.
double calibrated_reference_s(const std::vector<std::vector<double>>& seconds);

}  // namespace lathe::latency
