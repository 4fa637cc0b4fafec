#include "experiments/search/sampled_evaluators.h"

#include <algorithm>
#include <cmath>

#include "core/statistics.h"

namespace lathe::study {
namespace {

/// Of the median of n normal values, relative to the mean's: sqrt(pi / 2).
constexpr double kMedianLoss = 1.2533141373155;

double normal_half_width(double level) { return level > 0.98 ? 2.5758293 : 1.9599640; }

}  // namespace

std::vector<Result<search::AccuracyEstimate>> SampledAccuracy::evaluate(
    const std::vector<search::Candidate>& candidates, Progress& progress) {
  return evaluate_part(candidates, {0, kImages}, progress);
}

std::vector<int64_t> SampledAccuracy::part_ends() const {
  std::vector<int64_t> ends;
  for (int64_t end = kBatch; end <= kImages; end += kBatch) ends.push_back(end);
  return ends;
}

std::vector<Result<search::AccuracyEstimate>> SampledAccuracy::evaluate_part(
    const std::vector<search::Candidate>& candidates, const search::ImageRange& part,
    Progress& progress) {
  std::vector<Result<search::AccuracyEstimate>> results = exact_.evaluate(candidates, progress);
  const int64_t first = part.begin / kBatch;
  const int64_t last = part.end / kBatch;
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (!results[c]) continue;
    const Rng images = rng_.derive(candidates[c].architecture.to_string());
    int64_t correct = 0;
    for (int64_t batch = first; batch < last; ++batch) {
      Rng rng = images.derive("batch", static_cast<uint64_t>(batch));
      for (int64_t i = 0; i < kBatch; ++i) correct += rng.uniform() < results[c]->top1 ? 1 : 0;
    }
    results[c] = search::accuracy_estimate(correct, (last - first) * kBatch);
  }
  return results;
}

SampledLatency::SampledLatency(search::LatencyEvaluator& exact, const BoardModel& model,
                               uint64_t seed)
    : exact_(exact), model_(model), rng_(seed) {
  plan_.target_half_width = model.half_width;
}

std::future<Result<latency::LatencyEstimate>> SampledLatency::measure(
    const search::Candidate& candidate, const latency::MeasurementPlan& plan) {
  std::promise<Result<latency::LatencyEstimate>> promise;
  Result<latency::LatencyEstimate> result = exact_.measure(candidate, exact_.default_plan()).get();
  if (result) {
    const double exact_ms = result->median_ms;
    const double spread = normal_half_width(plan.level) * kMedianLoss * model_.block_noise;
    const double wanted = std::ceil(std::pow(spread / plan.target_half_width, 2.0));
    const int blocks = std::clamp(static_cast<int>(wanted), plan.min_blocks, plan.max_blocks);
    Rng rng = rng_.derive(candidate.architecture.to_string(),
                          stable_hash(std::to_string(plan.target_half_width)));
    std::vector<double> times_ms;
    for (int i = 0; i < blocks; ++i) {
      times_ms.push_back(exact_ms * std::max(0.1, 1.0 + model_.block_noise * rng.normal()));
    }
    result->median_ms = median(times_ms);
    const double half = result->median_ms * spread / std::sqrt(static_cast<double>(blocks));
    result->interval_ms = {result->median_ms - half, result->median_ms + half, plan.level};
    result->kept = blocks;
    result->processes = plan.processes;
    result->wall_s =
        plan.processes * (model_.start_s + model_.warm_up_inferences * exact_ms / 1e3) +
        blocks * exact_ms / 1e3;
  }
  promise.set_value(std::move(result));
  return promise.get_future();
}

}  // namespace lathe::study
