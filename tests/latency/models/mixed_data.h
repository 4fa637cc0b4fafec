#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "latency/models/regressor.h"

namespace lathe::test {

/// Six genes of four options; the label adds effects of genes and one interaction, and follows the
/// number.
struct MixedData {
  std::vector<models::Features> samples;
  std::vector<double> labels;

  MixedData(size_t count, double noise, uint64_t seed) {
    Rng rng(seed);
    for (size_t i = 0; i < count; ++i) {
      models::Features features;
      double label = 0.0;
      for (int gene = 0; gene < 6; ++gene) {
        features.choices.push_back(static_cast<uint16_t>(rng.below(4)));
        label += 0.3 * (gene + 1) * features.choices.back();
      }
      if (features.choices[0] == features.choices[1]) label += 1.0;
      features.numbers = {rng.uniform(0.0, 10.0), 7.0};  // the second is constant
      label += std::sin(features.numbers[0]);
      samples.push_back(features);
      labels.push_back(100.0 + label + noise * rng.normal());
    }
  }
};

/// Networks of up to five kinds of parts; the label is the logarithm of a constant plus their
/// costs.
struct TableData {
  static constexpr double kConstant = 2.0;
  static constexpr double kCosts[] = {0.5, 1.0, 3.0, 4.5, 16.0};
  std::vector<models::Features> samples;
  std::vector<double> labels;

  TableData(size_t count, double noise, uint64_t seed) {
    Rng rng(seed);
    for (size_t i = 0; i < count; ++i) {
      models::Features features;
      double cost = kConstant;
      for (uint64_t part = 0; part < 5; ++part) {
        const auto occurrences = static_cast<double>(rng.below(4));
        features.choices.push_back(static_cast<uint16_t>(occurrences));
        if (occurrences == 0.0) continue;
        features.parts.push_back({part, occurrences, static_cast<double>(part)});
        cost += occurrences * kCosts[part];
      }
      samples.push_back(features);
      labels.push_back(std::log(cost) + noise * rng.normal());
    }
  }
};

inline double root_mean_square_error(const std::vector<models::Prediction>& predictions,
                                     const std::vector<double>& labels) {
  double sum = 0.0;
  for (size_t i = 0; i < labels.size(); ++i) sum += std::pow(predictions[i].mean - labels[i], 2);
  return std::sqrt(sum / static_cast<double>(labels.size()));
}

}  // namespace lathe::test
