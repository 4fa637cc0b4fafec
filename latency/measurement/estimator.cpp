#include "latency/measurement/estimator.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/statistics.h"

namespace lathe::latency {
namespace {

/// Above this weight the prior says no more about one network: networks differ in it.
constexpr double kMaxPriorDegrees = 8.0;
constexpr double kMaxMemory = 200.0;

/// Returns how much longer than `sample` an independent sample with the same information on the
/// median would be short by: (1 + r) / (1 - r) with r the lag-1 correlation of the signs about the
/// median; at least 1.
double autocorrelation_factor(const std::vector<double>& sample) {
  if (sample.size() < 10) return 1.0;
  const double centre = median(sample);
  double product = 0.0;
  double square = 0.0;
  double previous = 0.0;
  for (double value : sample) {
    const double sign = value > centre ? 1.0 : value < centre ? -1.0 : 0.0;
    product += sign * previous;
    square += sign * sign;
    previous = sign;
  }
  if (square == 0.0) return 1.0;
  const double r = std::clamp(product / square, 0.0, 0.9);
  return (1.0 + r) / (1.0 - r);
}

}  // namespace

ProcessVariance::ProcessVariance(double prior_sd, double prior_weight)
    : sum_(prior_sd * prior_sd * prior_weight), weight_(prior_weight) {
  if (!(prior_sd >= 0.0) || !(prior_weight > 0.0)) {
    throw InvariantError("ProcessVariance: prior_sd = " + std::to_string(prior_sd) +
                         ", prior_weight = " + std::to_string(prior_weight) +
                         ", expected at least 0 and more than 0");
  }
}

void ProcessVariance::learn(const RatioEstimate& job) {
  if (job.between_degrees <= 0.0) return;
  // A job whose blocks scatter more than the processes differ says little about the processes.
  const double typical = std::max(variance(), 1e-8);
  const double share = typical / (typical + job.median_variance);
  const double degrees = job.between_degrees * share * share;
  sum_ += job.between * degrees;
  weight_ += degrees;
  if (weight_ > kMaxMemory) {
    sum_ *= kMaxMemory / weight_;
    weight_ = kMaxMemory;
  }
}

double ProcessVariance::variance() const { return std::max(0.0, sum_ / weight_); }

void DriftVariance::learn(size_t control, double first, double second) {
  constexpr size_t kMemory = 40;
  if (!std::isfinite(first) || !std::isfinite(second)) {
    throw InvariantError("DriftVariance::learn: log ratios = " + std::to_string(first) + " and " +
                         std::to_string(second) + ", expected finite ones");
  }
  LogRatios& log_ratios = log_ratios_.at(control);
  log_ratios.emplace_back(first, second);
  if (log_ratios.size() > kMemory) log_ratios.pop_front();
}

double DriftVariance::of_control(size_t control) const {
  constexpr double kPrior = 0.002;
  constexpr double kPriorDegrees = 2.0;
  double sum = kPriorDegrees * kPrior * kPrior;
  double degrees = kPriorDegrees;
  const LogRatios& log_ratios = log_ratios_.at(control);
  if (log_ratios.size() > 1) {
    std::vector<double> means;
    double processes = 0.0;  // variance of a mean of two, as far as processes differ
    for (const auto& [first, second] : log_ratios) {
      means.push_back(0.5 * (first + second));
      processes += 0.25 * (first - second) * (first - second);
    }
    processes /= static_cast<double>(means.size());
    const double deviation = standard_deviation(means);
    const auto own = static_cast<double>(means.size() - 1);
    sum += own * (deviation * deviation - processes);
    degrees += own;
  }
  return std::max(0.0, sum / degrees);
}

double DriftVariance::of(int64_t weight_bytes) const {
  const auto bytes = static_cast<double>(weight_bytes);
  const auto small_bytes = static_cast<double>(kControlBytes.front());
  const auto large_bytes = static_cast<double>(kControlBytes.back());
  const double small = std::sqrt(of_control(0));
  const double large = std::max(small, std::sqrt(of_control(1)));
  double deviation = small * bytes / small_bytes;
  if (bytes > small_bytes) {
    const double position = std::log(bytes / small_bytes) / std::log(large_bytes / small_bytes);
    deviation = small + (large - small) * std::min(1.0, position);
  }
  return deviation * deviation;
}

int64_t DriftVariance::count() const {
  return static_cast<int64_t>(std::min(log_ratios_[0].size(), log_ratios_[1].size()));
}

double median_standard_error(const std::vector<double>& sample) {
  if (sample.empty()) throw InvariantError("median_standard_error: the sample is empty");
  const size_t n = sample.size();
  if (n == 1) return 1.0;
  std::vector<double> sorted = sample;
  std::sort(sorted.begin(), sorted.end());
  if (n == 2) return sorted[1] - sorted[0];
  // The order statistics about two standard errors away from the median, and the probability that
  // they enclose it.
  const double size = static_cast<double>(n);
  const size_t rank =
      static_cast<size_t>(std::max(1.0, std::floor((size + 1.0) / 2.0 - 0.98 * std::sqrt(size))));
  double probability = std::pow(0.5, size);
  double tail = 0.0;
  for (size_t i = 0; i < rank; ++i) {  // P(Binomial(n, 1/2) <= rank - 1)
    tail += probability;
    probability *= (size - static_cast<double>(i)) / (static_cast<double>(i) + 1.0);
  }
  if (n > 1000) {  // 0.5^n underflows; the normal approximation is exact enough there
    const double z = (size / 2.0 - static_cast<double>(rank) + 0.5) / (0.5 * std::sqrt(size));
    tail = boost::math::cdf(boost::math::normal(), -z);
  }
  const double z = boost::math::quantile(boost::math::normal(), 1.0 - tail);
  const double spread = sorted[n - rank] - sorted[rank - 1];
  return spread / (2.0 * z);
}

RatioEstimate estimate_ratio(const std::vector<std::vector<double>>& samples, double level,
                             const ProcessVariance& variance) {
  std::vector<double> medians;
  std::vector<double> residuals;  // of all processes: their blocks scatter alike, and each has few
  double inverse_sizes = 0.0;
  double autocorrelation = 0.0;
  for (const std::vector<double>& sample : samples) {
    if (sample.empty()) continue;
    medians.push_back(median(sample));
    const double size = static_cast<double>(sample.size());
    const double shrinkage = sample.size() > 1 ? std::sqrt(size / (size - 1.0)) : 1.0;
    for (double value : sample) residuals.push_back((value - medians.back()) * shrinkage);
    inverse_sizes += 1.0 / size;
    autocorrelation += size * autocorrelation_factor(sample);
  }
  if (medians.empty()) throw InvariantError("estimate_ratio: there is no sample");
  const double processes = static_cast<double>(medians.size());
  const double blocks = static_cast<double>(residuals.size());
  const double error = median_standard_error(residuals);
  // Sum of the variances of the processes' medians.
  const double within = error * error * (autocorrelation / blocks) * blocks * inverse_sizes;

  RatioEstimate estimate;
  estimate.log_ratio = mean(medians);
  const double prior_degrees = std::min(variance.weight(), kMaxPriorDegrees);
  double between_sum = prior_degrees * variance.variance();
  estimate.between_degrees = processes - 1.0;
  if (processes > 1.0) {
    const double deviation = standard_deviation(medians);
    estimate.median_variance = within / processes;
    estimate.between = deviation * deviation - estimate.median_variance;
    between_sum += estimate.between_degrees * std::max(0.0, estimate.between);
  }
  const double degrees = prior_degrees + estimate.between_degrees;
  const double within_variance = within / (processes * processes);
  const double between_variance = between_sum / degrees / processes;
  estimate.within_se = std::sqrt(within_variance);
  estimate.between_se = std::sqrt(between_variance);

  const double total = within_variance + between_variance;
  if (total == 0.0) return estimate;
  const double within_degrees = std::max(1.0, blocks - processes);
  const double freedom = total * total /
                         (within_variance * within_variance / within_degrees +
                          between_variance * between_variance / degrees);
  const boost::math::students_t student(std::max(1.0, freedom));
  estimate.half_width = boost::math::quantile(student, 0.5 + level / 2.0) * std::sqrt(total);
  return estimate;
}

std::vector<std::vector<double>> without_slow(const std::vector<std::vector<double>>& seconds,
                                              double max_slowdown) {
  std::vector<double> all;
  for (const std::vector<double>& process : seconds) {
    all.insert(all.end(), process.begin(), process.end());
  }
  if (all.empty()) return seconds;
  const double limit = (1.0 + max_slowdown) * quantile(all, 0.1);
  std::vector<std::vector<double>> kept = seconds;
  for (std::vector<double>& process : kept) {
    process.erase(std::remove_if(process.begin(), process.end(),
                                 [limit](double value) { return value > limit; }),
                  process.end());
  }
  return kept;
}

double calibrated_reference_s(const std::vector<std::vector<double>>& seconds) {
  std::vector<double> medians;
  for (const std::vector<double>& process : seconds) {
    if (process.empty()) continue;
    for (double value : process) {
      if (!(value > 0.0)) {
        throw InvariantError("calibrated_reference_s: seconds = " + std::to_string(value) +
                             ", expected a positive time");
      }
    }
    medians.push_back(median(process));
  }
  if (medians.empty()) throw InvariantError("calibrated_reference_s: there is no time");
  return mean(medians);
}

}  // namespace lathe::latency
