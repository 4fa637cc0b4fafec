#include "search/strategy/racing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "search/archive/dominance.h"

namespace lathe::search {
namespace {

constexpr double kLevel = 0.99;
// Screened values guide the strategy: a surrogate that learned from a twentieth of the images found
// fronts 0.3 % smaller, from a fifth as large ones (experiments/search, study "racing").
constexpr std::array<double, 9> kImageShares = {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0};
constexpr double kCoarser = 3.0;        // half-widths; a measurement's time goes with its square
constexpr double kCoarseBudget = 0.25;  // of the full plan's
constexpr int kCoarseBlocks = 8;        // the fewest that have a 99 % interval of the median

bool is_unsure(const latency::LatencyEstimate& coarse) {
  return coarse.verdict == latency::Verdict::Disturbed ||
         coarse.verdict == latency::Verdict::Throttled;
}

MetricValue anywhere(double value) { return {value, 0.0, std::numeric_limits<double>::infinity()}; }

/// Returns x with P(|X| <= x) = level for a standard normal X, by bisection.
double normal_half_width(double level) {
  double low = 0.0;
  double high = 40.0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (std::erf(middle / std::sqrt(2.0)) < level ? low : high) = middle;
  }
  return high;
}

/// Returns where a full measurement lies, given a coarse one of `value` in `interval`; `planned` is
/// the full one's own half-width. A board that did not reach the coarse target will not reach the
/// full one either.
MetricValue widened(double value, const Interval& interval, double planned) {
  const double widen = std::max(1.0, normal_half_width(kLevel) / normal_half_width(interval.level));
  const auto half_of = [&](double half) {
    half = widen * std::max(0.0, half);
    return std::hypot(half, std::max(planned, half / kCoarser));
  };
  return {value, std::max(0.0, value - half_of(value - interval.low)),
          value + half_of(interval.high - value)};
}

}  // namespace

std::vector<RaceStage> race_stages(bool accuracy, const std::vector<int64_t>& part_ends,
                                   bool latency) {
  std::vector<RaceStage> stages;
  if (accuracy && !part_ends.empty()) {
    int64_t begin = 0;
    for (const double share : kImageShares) {
      const auto wanted =
          static_cast<int64_t>(std::ceil(share * static_cast<double>(part_ends.back())));
      const auto end = std::lower_bound(part_ends.begin(), part_ends.end(), wanted);
      if (end == part_ends.end() || *end <= begin) continue;
      RaceStage stage;
      stage.accuracy = RaceStage::Accuracy::Part;
      stage.images = {begin, *end};
      stages.push_back(stage);
      begin = *end;
    }
  } else {
    stages.emplace_back();
    if (accuracy) stages.back().accuracy = RaceStage::Accuracy::Whole;
  }
  if (latency) {
    stages.front().latency = RaceStage::Latency::Coarse;
    stages.emplace_back();
    stages.back().latency = RaceStage::Latency::Full;
  }
  return stages;
}

latency::MeasurementPlan coarse_plan(const latency::MeasurementPlan& full) {
  latency::MeasurementPlan plan = full;
  plan.target_half_width = kCoarser * full.target_half_width;
  plan.level = std::max(kLevel, full.level);
  plan.budget_s = kCoarseBudget * full.budget_s;
  plan.min_blocks = std::min(full.min_blocks, kCoarseBlocks);
  plan.processes = 1;
  plan.energy_s = kCoarseBudget * full.energy_s;
  return plan;
}

MetricValue final_accuracy(const AccuracyEstimate& part, int64_t images) {
  const auto n = static_cast<double>(part.images);
  const auto all = static_cast<double>(images);
  const double z = normal_half_width(kLevel);
  const double left = all > 1.0 ? (all - n) / (all - 1.0) : 0.0;
  const double z2 = z * z * std::max(0.0, left);
  const double p = part.top1;
  const double centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
  const double half = std::sqrt(z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n);
  const double correct = p * n;
  return {p, std::max(centre - half, correct / all),
          std::min(centre + half, (correct + all - n) / all)};
}

MetricValue final_latency(const latency::LatencyEstimate& coarse,
                          const latency::MeasurementPlan& full) {
  if (is_unsure(coarse)) return anywhere(coarse.median_ms);
  const double planned = full.target_half_width * coarse.median_ms * normal_half_width(kLevel) /
                         normal_half_width(full.level);
  return widened(coarse.median_ms, coarse.interval_ms, planned);
}

MetricValue final_energy(const latency::LatencyEstimate& coarse) {
  const latency::EnergyEstimate& energy = coarse.energy.value();
  if (is_unsure(coarse)) return anywhere(energy.mean_mj);
  return widened(energy.mean_mj, energy.interval_mj, 0.0);
}

bool is_decided(const Problem& problem, const Metrics& bounds,
                const std::vector<Objectives>& front) {
  for (const Constraint& constraint : problem.constraints) {
    const MetricValue& value = bounds.at(constraint.metric);
    if (!constraint.satisfied(constraint.at_most ? value.low : value.high)) return true;
  }
  Objectives best;
  for (const Metric& metric : problem.objectives) {
    const MetricValue& value = bounds.at(metric);
    best.push_back(to_minimised(metric, larger_is_better(metric.kind) ? value.high : value.low));
  }
  return std::any_of(front.begin(), front.end(),
                     [&](const Objectives& point) { return dominates(point, best); });
}

}  // namespace lathe::search
