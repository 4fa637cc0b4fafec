#pragma once

#include <string>
#include <vector>

#include "core/rng.h"

namespace lathe {

/// A closed interval with the probability that it is meant to cover.
struct Interval {
  double low = 0.0;
  double high = 0.0;
  double level = 0.95;
};

namespace statistics_detail {
/// \throws InvariantError naming `function` if the sample is empty or holds a NaN.
void require_sample(const char* function, const std::vector<double>& sample);
}  // namespace statistics_detail

// All functions below throw InvariantError when a sample is empty or holds a NaN.

double mean(const std::vector<double>& sample);
/// Returns the unbiased standard deviation (n - 1); 0 for a single value.
double standard_deviation(const std::vector<double>& sample);
/// Returns the middle value, or the mean of the two middle ones. O(n).
double median(std::vector<double> sample);
/// Returns the quantile at `p` in [0, 1] by linear interpolation between order statistics (type 7
/// of Hyndman and Fan, 1996).
double quantile(std::vector<double> sample, double p);
/// Returns 1.4826 times the median absolute deviation: the standard deviation for normal data.
double scaled_mad(const std::vector<double>& sample);

/// Returns the distribution-free confidence interval of the median from order statistics
/// (binomial). With fewer than 6 values no 95 % interval exists: the full range is returned with
/// its true level.
Interval median_interval(std::vector<double> sample, double level = 0.95);

/// Returns the percentile bootstrap interval of `statistic` (Efron and Tibshirani, 1993).
template <typename Statistic>
Interval bootstrap_interval(const std::vector<double>& sample, Statistic statistic, Rng rng,
                            int resamples = 1000, double level = 0.95);

/// Returns Kendall's tau-b (ties handled), in [-1, 1]; 0 if either side is constant. O(n log n) or
/// O(n^2).
double kendall_tau(const std::vector<double>& a, const std::vector<double>& b);

/// Returns Pearson's correlation, in [-1, 1]; 0 if either side is constant.
double pearson(const std::vector<double>& a, const std::vector<double>& b);

/// Returns Spearman's rank correlation with mid-ranks for ties, in [-1, 1].
double spearman(const std::vector<double>& a, const std::vector<double>& b);
/// Returns the bootstrap interval of kendall_tau over resampled pairs.
Interval kendall_interval(const std::vector<double>& a, const std::vector<double>& b, Rng rng,
                          int resamples = 1000, double level = 0.95);

template <typename Statistic>
Interval bootstrap_interval(const std::vector<double>& sample, Statistic statistic, Rng rng,
                            int resamples, double level) {
  statistics_detail::require_sample("bootstrap_interval", sample);
  if (resamples < 1 || !(level > 0.0 && level < 1.0)) {
    throw InvariantError("bootstrap_interval: resamples = " + std::to_string(resamples) +
                         ", level = " + std::to_string(level) +
                         ", expected at least 1 resample and a level within (0, 1)");
  }
  std::vector<double> statistics;
  statistics.reserve(static_cast<size_t>(resamples));
  std::vector<double> resample(sample.size());
  for (int r = 0; r < resamples; ++r) {
    for (double& value : resample) value = rng.choose(sample);
    statistics.push_back(statistic(resample));
  }
  const double tail = (1.0 - level) / 2.0;
  return {quantile(statistics, tail), quantile(statistics, 1.0 - tail), level};
}

}  // namespace lathe
