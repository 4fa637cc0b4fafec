#include "latency/models/model_report.h"

#include <algorithm>
#include <cmath>

#include "core/statistics.h"

namespace lathe::models {
namespace {

constexpr double kNormal90 = 1.6448536269514722;
constexpr double kClip = 4.0;        // robust deviations
constexpr double kRounding = 1e-24;  // relative variance below which labels are equal

}  // namespace

ModelReport assess(const std::string& model, const std::vector<Prediction>& predictions,
                   const std::vector<double>& labels) {
  if (labels.empty() || predictions.size() != labels.size()) {
    throw InvariantError("assess " + model + ": " + std::to_string(predictions.size()) +
                         " predictions and " + std::to_string(labels.size()) +
                         " labels, expected equal numbers above 0");
  }
  ModelReport report;
  report.model = model;
  report.labels = static_cast<int64_t>(labels.size());
  const auto n = static_cast<double>(labels.size());
  const double reach = kClip * scaled_mad(labels);
  const double middle = median(labels);
  std::vector<double> clipped = labels;
  if (reach > 0.0) {
    for (double& label : clipped) label = std::clamp(label, middle - reach, middle + reach);
  }
  const double constant = mean(clipped);
  double residual = 0.0;
  double total = 0.0;
  std::vector<double> means;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Prediction& prediction = predictions[i];
    means.push_back(prediction.mean);
    residual += std::pow(prediction.mean - clipped[i], 2);
    total += std::pow(constant - clipped[i], 2);
    report.mape += std::abs(std::expm1(prediction.mean - labels[i])) / n;
    const bool inside = std::abs(prediction.mean - labels[i]) <= kNormal90 * prediction.deviation;
    report.coverage += inside ? 1.0 / n : 0.0;
  }
  const bool constant_labels = total <= kRounding * n * (1.0 + constant * constant);
  report.explained = constant_labels ? 0.0 : 1.0 - residual / total;
  if (labels.size() > 1) {
    report.spearman = spearman(means, labels);
    report.kendall = kendall_tau(means, labels);
  }
  return report;
}

}  // namespace lathe::models
