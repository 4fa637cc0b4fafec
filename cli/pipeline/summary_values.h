#pragma once

#include "cli/report/measured_values.h"
#include "latency/measurement/latency_estimate.h"
#include "search/evaluation/evaluators.h"

namespace lathe::cli {

// Estimates as the report's plain values.

report::Accuracy accuracy_of(const search::AccuracyEstimate& estimate);
report::Latency latency_of(const latency::LatencyEstimate& estimate);
report::Conditions conditions_of(const latency::Conditions& conditions);

}  // namespace lathe::cli
