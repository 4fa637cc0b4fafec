#include "latency/models/regressor.h"

#include <algorithm>
#include <cmath>

namespace lathe::models {

void check_training_data(const char* where, const std::vector<Features>& samples,
                         const std::vector<double>& labels) {
  const std::string prefix(where);
  if (samples.empty() || samples.size() != labels.size()) {
    throw InvariantError(prefix + ": " + std::to_string(samples.size()) + " samples and " +
                         std::to_string(labels.size()) + " labels, expected equal numbers above 0");
  }
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].choices.size() != samples[0].choices.size() ||
        samples[i].numbers.size() != samples[0].numbers.size()) {
      throw InvariantError(prefix + ": sample " + std::to_string(i) +
                           " has other sizes than sample 0, expected the same");
    }
    bool finite = std::isfinite(labels[i]);
    for (const double number : samples[i].numbers) finite = finite && std::isfinite(number);
    if (!finite) {
      throw InvariantError(prefix + ": sample " + std::to_string(i) +
                           " has a value that is not finite, expected numbers");
    }
  }
}

std::vector<size_t> evenly(size_t size, size_t count) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < std::min(size, count); ++i) {
    chosen.push_back(count >= size ? i : i * size / count);
  }
  return chosen;
}

std::vector<size_t> recent_and_even(size_t size, size_t most) {
  if (size <= most) return evenly(size, size);
  const size_t recent = most / 2;
  std::vector<size_t> chosen = evenly(size - recent, most - recent);
  for (size_t i = size - recent; i < size; ++i) chosen.push_back(i);
  return chosen;
}

int hamming_distance(const Features& a, const Features& b) {
  if (a.choices.size() != b.choices.size()) {
    throw InvariantError("hamming_distance: " + std::to_string(a.choices.size()) + " and " +
                         std::to_string(b.choices.size()) + " choices, expected equal numbers");
  }
  int distance = 0;
  for (size_t i = 0; i < a.choices.size(); ++i) distance += a.choices[i] != b.choices[i] ? 1 : 0;
  return distance;
}

void NumberScaler::fit(const std::vector<Features>& samples) {
  const size_t count = samples.front().numbers.size();
  mean_.assign(count, 0.0);
  scale_.assign(count, 0.0);
  const auto n = static_cast<double>(samples.size());
  for (size_t k = 0; k < count; ++k) {
    for (const Features& sample : samples) mean_[k] += sample.numbers[k] / n;
    double variance = 0.0;
    for (const Features& sample : samples) {
      const double d = sample.numbers[k] - mean_[k];
      variance += d * d / n;
    }
    const double deviation = std::sqrt(variance);
    const bool constant = deviation <= 1e-12 * (1.0 + std::abs(mean_[k]));
    scale_[k] = constant ? 0.0 : 1.0 / deviation;
  }
}

std::vector<double> NumberScaler::apply(const Features& sample) const {
  if (sample.numbers.size() != mean_.size()) {
    throw InvariantError("NumberScaler: " + std::to_string(sample.numbers.size()) +
                         " numbers, expected " + std::to_string(mean_.size()));
  }
  std::vector<double> scaled(mean_.size());
  for (size_t k = 0; k < scaled.size(); ++k) {
    scaled[k] = (sample.numbers[k] - mean_[k]) * scale_[k];
  }
  return scaled;
}

}  // namespace lathe::models
