#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "latency/models/regressor.h"

namespace lathe::models {

/// How a model does on labels that it did not see. Labels are natural logarithms.
struct ModelReport {
  std::string model;
  int64_t labels = 0;
  double explained =
      0.0;            ///< share of the labels' variance; at most 1, below 0: worse than the mean
  double mape = 0.0;  ///< mean of |predicted / true - 1|, of what the labels are logarithms of
  double spearman = 0.0;
  double kendall = 0.0;
  double coverage = 0.0;  ///< share of the labels inside the 90 % interval
  double weight = 0.0;    ///< in what the selector predicts; 0: switched off
};

/// Compares predictions with the labels, in order. Labels beyond 4 robust deviations from their
/// median are pulled in for `explained`, so that one broken label does not decide.
/// \throws InvariantError if there are none or the sizes differ.
ModelReport assess(const std::string& model, const std::vector<Prediction>& predictions,
                   const std::vector<double>& labels);

}  // namespace lathe::models
