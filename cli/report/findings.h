#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::report {

/// What stopping candidates early saved.
struct Racing {
  int64_t screened = 0;  ///< candidates that were stopped early
  int64_t images = 0;    ///< validation images evaluated, summed over candidates; 0: in one piece
  int64_t images_saved = 0;
  double board_seconds_saved = 0.0;  ///< estimated; below 0: coarse measurements cost more
};

/// How a model does on evaluations that it did not see.
struct ModelRecord {
  std::string model;
  int64_t labels = 0;
  std::optional<double> explained;  ///< share of the labels' variance; absent: not finite
  std::optional<double> mape;       ///< fraction; absent: not finite
  double spearman = 0.0;
  double kendall = 0.0;
  double coverage = 0.0;  ///< share of the labels inside the 90 % interval
  double weight = 0.0;    ///< in the average
};

/// The models of one metric. Accuracy is learned as its error, 1 - top1.
struct LearnedMetric {
  std::string metric;
  bool on = false;                  ///< false: nothing beats a constant, so nothing is predicted
  std::vector<ModelRecord> models;  ///< the last one is their average; empty: never fitted
};

}  // namespace lathe::report
