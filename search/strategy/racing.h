#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "search/evaluation/candidate.h"
#include "search/evaluation/problem.h"

namespace lathe::search {

// Racing (Maron and Moore, Hoeffding races, 1994; here for several objectives): a candidate is
// evaluated in stages, each more exact than the one before, and stopped as soon as it is clear that
// it cannot get into the front. What gets into the front has gone through all stages.

/// One step of a candidate's evaluation. The next one starts when all of it is in.
struct RaceStage {
  enum class Accuracy { None, Part, Whole };
  enum class Latency { None, Coarse, Full };
  Accuracy accuracy = Accuracy::None;
  ImageRange images;  ///< of a part
  Latency latency = Latency::None;
};

/// Returns the stages of a race: part after part of the validation split, beside the first one
/// coarse measurements, at last the measurements of the full plan. `part_ends` as the accuracy
/// evaluator has them; none: the accuracy is computed at once.
std::vector<RaceStage> race_stages(bool accuracy, const std::vector<int64_t>& part_ends,
                                   bool latency);

/// Returns the plan of a coarse measurement: a fraction of the full one's board time.
latency::MeasurementPlan coarse_plan(const latency::MeasurementPlan& full);

/// Returns where the accuracy on all `images` of a split lies, given that on the first part of it:
/// Wilson's score interval (1927) at 99 %, corrected for the finite number of images, and within
/// what the images left can still change.
MetricValue final_accuracy(const AccuracyEstimate& part, int64_t images);

/// Returns where a measurement by the plan `full` will lie with 99 % confidence, given a coarse
/// one; everywhere if the coarse one was disturbed or throttled.
MetricValue final_latency(const latency::LatencyEstimate& coarse,
                          const latency::MeasurementPlan& full);

/// The same of the energy that `coarse` holds.
MetricValue final_energy(const latency::LatencyEstimate& coarse);

/// True if, wherever its values lie within their intervals, a candidate breaks a constraint or is
/// dominated by a point of `front` (minimised objectives).
bool is_decided(const Problem& problem, const Metrics& bounds,
                const std::vector<Objectives>& front);

}  // namespace lathe::search
