#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rng.h"
#include "search/evaluation/evaluators.h"

namespace lathe::study {

/// Makes a validation split of exact accuracies: every image is right or wrong with the exact
/// probability, by a stream that depends on the seed, the architecture and the image only.
class SampledAccuracy : public search::AccuracyEvaluator {
 public:
  static constexpr int64_t kImages = 10'000;
  static constexpr int64_t kBatch = 100;

  SampledAccuracy(search::AccuracyEvaluator& exact, uint64_t seed) : exact_(exact), rng_(seed) {}
  std::vector<Result<search::AccuracyEstimate>> evaluate(
      const std::vector<search::Candidate>& candidates, Progress& progress) override;
  std::vector<int64_t> part_ends() const override;
  std::vector<Result<search::AccuracyEstimate>> evaluate_part(
      const std::vector<search::Candidate>& candidates, const search::ImageRange& part,
      Progress& progress) override;

 private:
  search::AccuracyEvaluator& exact_;
  Rng rng_;
};

/// How a simulated board measures.
struct BoardModel {
  double block_noise = 0.05;   ///< relative standard deviation of one block
  double half_width = 0.01;    ///< of the full plan
  double start_s = 0.1;        ///< of one worker process: loading the model
  int warm_up_inferences = 5;  ///< of one worker process
};

/// Makes a noisy board of exact latencies: blocks of one inference each until the median's interval
/// is as narrow as the plan asks for; the board time follows.
class SampledLatency : public search::LatencyEvaluator {
 public:
  SampledLatency(search::LatencyEvaluator& exact, const BoardModel& model, uint64_t seed);
  const std::string& device() const override { return exact_.device(); }
  const latency::MeasurementPlan& default_plan() const override { return plan_; }
  bool shares_host() const override { return false; }
  std::future<Result<latency::LatencyEstimate>> measure(
      const search::Candidate& candidate, const latency::MeasurementPlan& plan) override;

 private:
  search::LatencyEvaluator& exact_;
  BoardModel model_;
  latency::MeasurementPlan plan_;
  Rng rng_;
};

}  // namespace lathe::study
