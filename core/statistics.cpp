#include "core/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace lathe {
namespace statistics_detail {

void require_sample(const char* function, const std::vector<double>& sample) {
  if (sample.empty()) {
    throw InvariantError(std::string(function) + ": the sample is empty, expected a value");
  }
  for (size_t i = 0; i < sample.size(); ++i) {
    if (std::isnan(sample[i])) {
      throw InvariantError(std::string(function) + ": value " + std::to_string(i) + " of " +
                           std::to_string(sample.size()) + " is not a number");
    }
  }
}

}  // namespace statistics_detail

namespace {

using statistics_detail::require_sample;

void require_pairs(const char* function, const std::vector<double>& a,
                   const std::vector<double>& b) {
  if (a.size() != b.size()) {
    throw InvariantError(std::string(function) + ": sizes = " + std::to_string(a.size()) + " and " +
                         std::to_string(b.size()) + ", expected equal sizes");
  }
  require_sample(function, a);
  require_sample(function, b);
}

void require_level(const char* function, double level) {
  if (!(level > 0.0 && level < 1.0)) {
    throw InvariantError(std::string(function) + ": level = " + std::to_string(level) +
                         ", expected within (0, 1)");
  }
}

double pairs_of(size_t count) {
  const double n = static_cast<double>(count);
  return n * (n - 1.0) / 2.0;
}

/// Counts the pairs within runs of equal neighbours.
template <typename Equal>
double tied_pairs(const std::vector<size_t>& order, Equal equal) {
  double pairs = 0.0;
  size_t begin = 0;
  for (size_t i = 1; i <= order.size(); ++i) {
    if (i < order.size() && equal(order[begin], order[i])) continue;
    pairs += pairs_of(i - begin);
    begin = i;
  }
  return pairs;
}

/// Sorts `values` and returns the number of exchanges that a bubble sort would have made.
double sort_counting_exchanges(std::vector<double>& values) {
  double exchanges = 0.0;
  std::vector<double> merged(values.size());
  for (size_t width = 1; width < values.size(); width *= 2) {
    for (size_t begin = 0; begin < values.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, values.size());
      const size_t end = std::min(begin + 2 * width, values.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        if (right == end || (left < middle && values[left] <= values[right])) {
          merged[out] = values[left++];
        } else {
          exchanges += static_cast<double>(middle - left);
          merged[out] = values[right++];
        }
      }
    }
    values.swap(merged);
  }
  return exchanges;
}

std::vector<double> mid_ranks(const std::vector<double>& sample) {
  std::vector<size_t> order(sample.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return sample[i] < sample[j]; });
  std::vector<double> ranks(sample.size());
  size_t begin = 0;
  for (size_t i = 1; i <= order.size(); ++i) {
    if (i < order.size() && sample[order[i]] == sample[order[begin]]) continue;
    const double rank = (static_cast<double>(begin) + static_cast<double>(i) - 1.0) / 2.0;
    for (size_t k = begin; k < i; ++k) ranks[order[k]] = rank;
    begin = i;
  }
  return ranks;
}

double order_statistic(std::vector<double>& sample, size_t index) {
  const auto position = sample.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(sample.begin(), position, sample.end());
  return *position;
}

double interpolate(double low, double high, double fraction) {
  // Also keeps infinities of the same sign from becoming a NaN.
  return low == high || fraction == 0.0 ? low : low + (high - low) * fraction;
}

}  // namespace

double mean(const std::vector<double>& sample) {
  require_sample("mean", sample);
  const double total = std::accumulate(sample.begin(), sample.end(), 0.0);
  return total / static_cast<double>(sample.size());
}

double standard_deviation(const std::vector<double>& sample) {
  require_sample("standard_deviation", sample);
  if (sample.size() == 1) return 0.0;
  const double centre = mean(sample);
  double squares = 0.0;
  for (const double value : sample) squares += (value - centre) * (value - centre);
  return std::sqrt(squares / (static_cast<double>(sample.size()) - 1.0));
}

double median(std::vector<double> sample) {
  require_sample("median", sample);
  const size_t upper = sample.size() / 2;
  const double high = order_statistic(sample, upper);
  if (sample.size() % 2 == 1) return high;
  const double low =
      *std::max_element(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(upper));
  return interpolate(low, high, 0.5);
}

double quantile(std::vector<double> sample, double p) {
  require_sample("quantile", sample);
  if (!(p >= 0.0 && p <= 1.0)) {
    throw InvariantError("quantile: p = " + std::to_string(p) + ", expected within [0, 1]");
  }
  const double position = p * static_cast<double>(sample.size() - 1);
  const size_t index = static_cast<size_t>(position);
  const double low = order_statistic(sample, index);
  if (index + 1 == sample.size()) return low;
  const double high =
      *std::min_element(sample.begin() + static_cast<std::ptrdiff_t>(index) + 1, sample.end());
  return interpolate(low, high, position - static_cast<double>(index));
}

double scaled_mad(const std::vector<double>& sample) {
  require_sample("scaled_mad", sample);
  const double centre = median(sample);
  std::vector<double> deviations;
  deviations.reserve(sample.size());
  for (const double value : sample) deviations.push_back(std::abs(value - centre));
  return 1.4826 * median(std::move(deviations));
}

Interval median_interval(std::vector<double> sample, double level) {
  require_sample("median_interval", sample);
  require_level("median_interval", level);
  std::sort(sample.begin(), sample.end());
  const double n = static_cast<double>(sample.size());
  // The interval [x(k), x(n+1-k)], k from 1, covers with probability 1 - 2 P(Binomial(n, 1/2) < k).
  double log_probability = -n * std::log(2.0);
  double tail = std::exp(log_probability);
  if (1.0 - 2.0 * tail < level) return {sample.front(), sample.back(), 1.0 - 2.0 * tail};
  size_t k = 1;
  while (2 * (k + 1) <= sample.size() + 1) {
    const double order = static_cast<double>(k);
    log_probability += std::log((n - order + 1.0) / order);
    tail += std::exp(log_probability);
    if (1.0 - 2.0 * tail < level) break;
    ++k;
  }
  return {sample[k - 1], sample[sample.size() - k], level};
}

double kendall_tau(const std::vector<double>& a, const std::vector<double>& b) {
  require_pairs("kendall_tau", a, b);
  // Knight, "A computer method for calculating Kendall's tau with ungrouped data", 1966.
  std::vector<size_t> order(a.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t i, size_t j) { return a[i] != a[j] ? a[i] < a[j] : b[i] < b[j]; });
  const double ties_a = tied_pairs(order, [&](size_t i, size_t j) { return a[i] == a[j]; });
  const double ties_both =
      tied_pairs(order, [&](size_t i, size_t j) { return a[i] == a[j] && b[i] == b[j]; });
  std::vector<double> sorted;
  sorted.reserve(b.size());
  for (const size_t i : order) sorted.push_back(b[i]);
  const double exchanges = sort_counting_exchanges(sorted);
  std::iota(order.begin(), order.end(), size_t{0});
  const double ties_b =
      tied_pairs(order, [&](size_t i, size_t j) { return sorted[i] == sorted[j]; });
  const double pairs = pairs_of(a.size());
  const double scale = std::sqrt(pairs - ties_a) * std::sqrt(pairs - ties_b);
  if (scale == 0.0) return 0.0;
  const double tau = (pairs - ties_a - ties_b + ties_both - 2.0 * exchanges) / scale;
  return std::clamp(tau, -1.0, 1.0);
}

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  require_pairs("pearson", a, b);
  const double mean_a = mean(a);
  const double mean_b = mean(b);
  double covariance = 0.0;
  double variance_a = 0.0;
  double variance_b = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    covariance += (a[i] - mean_a) * (b[i] - mean_b);
    variance_a += (a[i] - mean_a) * (a[i] - mean_a);
    variance_b += (b[i] - mean_b) * (b[i] - mean_b);
  }
  const double scale = std::sqrt(variance_a) * std::sqrt(variance_b);
  return scale == 0.0 ? 0.0 : std::clamp(covariance / scale, -1.0, 1.0);
}

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  require_pairs("spearman", a, b);
  return pearson(mid_ranks(a), mid_ranks(b));
}

Interval kendall_interval(const std::vector<double>& a, const std::vector<double>& b, Rng rng,
                          int resamples, double level) {
  require_pairs("kendall_interval", a, b);
  require_level("kendall_interval", level);
  std::vector<double> taus;
  std::vector<double> resample_a(a.size());
  std::vector<double> resample_b(b.size());
  for (int r = 0; r < resamples; ++r) {
    for (size_t i = 0; i < a.size(); ++i) {
      const size_t pick = static_cast<size_t>(rng.below(a.size()));
      resample_a[i] = a[pick];
      resample_b[i] = b[pick];
    }
    taus.push_back(kendall_tau(resample_a, resample_b));
  }
  const double tail = (1.0 - level) / 2.0;
  return {quantile(taus, tail), quantile(taus, 1.0 - tail), level};
}

}  // namespace lathe
