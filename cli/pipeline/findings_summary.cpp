#include "cli/pipeline/findings_summary.h"

#include <cmath>

namespace lathe::cli {
namespace {

/// A model may be so far off that its error has no finite value; summary.json has no infinity.
std::optional<double> finite(double value) {
  return std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
}

report::ModelRecord record_of(const models::ModelReport& from) {
  report::ModelRecord record;
  record.model = from.model;
  record.labels = from.labels;
  record.explained = finite(from.explained);
  record.mape = finite(from.mape);
  record.spearman = from.spearman;
  record.kendall = from.kendall;
  record.coverage = from.coverage;
  record.weight = from.weight;
  return record;
}

}  // namespace

std::optional<report::Racing> racing_of(const search::SearchOptions& options,
                                        const search::RacingReport& racing) {
  if (!search::races(options)) return std::nullopt;
  return report::Racing{racing.screened, racing.images, racing.images_saved,
                        racing.board_time_saved_s};
}

std::optional<std::vector<report::LearnedMetric>> learned_of(
    const std::vector<search::LearnedMetric>& learned) {
  if (learned.empty()) return std::nullopt;
  std::vector<report::LearnedMetric> result;
  for (const search::LearnedMetric& from : learned) {
    report::LearnedMetric metric;
    metric.metric = search::to_string(from.metric);
    metric.on = from.on;
    for (const models::ModelReport& model : from.models) metric.models.push_back(record_of(model));
    result.push_back(metric);
  }
  return result;
}

}  // namespace lathe::cli
