#pragma once

#include <nlohmann/json.hpp>

#include "experiments/measurement/bench.h"

// Each study runs on the bench, prints what it finds, and returns it for results.json.

namespace lathe::study {

/// The same network twice, many times over, in random order and each time under a fresh lease.
nlohmann::json study_same(Bench& bench, bool quick);
/// Do 95 % intervals cover the value of a run ten times as long, and how long do they take?
nlohmann::json study_coverage(Bench& bench, bool quick);
/// Bias and flags under a CPU hog on the measuring core, on the other core, and in bursts.
nlohmann::json study_disturbance(Bench& bench, bool quick);
/// Two independent rankings of 60 networks that lie within 30 %.
nlohmann::json study_ranking(Bench& bench, bool quick);
/// Round trip of an empty job, in plain text and with TLS both ways.
nlohmann::json study_overhead(Bench& bench, bool quick);
/// Measuring beside training: a reserved core, alternating phases, or neither.
nlohmann::json study_sharing(Bench& bench, bool quick);

}  // namespace lathe::study
