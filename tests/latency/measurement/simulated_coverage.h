#pragma once

#include <cmath>
#include <vector>

#include "tests/latency/measurement/simulated_board.h"

namespace lathe::latency::test {

/// What many measurements of simulated boards came to.
struct Outcome {
  double coverage = 0.0;
  double mean_wall_s = 0.0;
  std::vector<double> errors;       ///< relative, of the session's median
  std::vector<double> mean_errors;  ///< relative, of the mean of 50 after 20 warm-up inferences
};

/// Measures boards with the tails of a published Raspberry Pi 5 by sessions, and by the mean of 50
/// runs.
inline Outcome simulate(double candidate_s, double process_sd, int trials, uint64_t seed) {
  Outcome outcome;
  ProcessVariance variance;
  int covered = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Rng rng = Rng(seed).derive("trial", static_cast<uint64_t>(trial));
    BoardModel model;
    model.candidate_s = candidate_s * std::exp(0.3 * rng.normal());
    model.cv = draw_cv(rng);
    model.process_sd = process_sd;
    model.drift_per_s = 0.002 * rng.normal();
    MeasurementPlan plan;
    plan.seed = static_cast<uint64_t>(trial);
    SessionOptions options;
    options.plan = plan;
    options.reference_s = model.reference_s;
    options.process_variance = variance;
    MeasurementSession session(options);
    SimulatedBoard board(model, rng.derive("board"));
    drive(session, board, plan);
    variance = session.learned_variance();

    const LatencyEstimate estimate = session.result();
    const double truth_ms = 1e3 * model.candidate_s;
    covered +=
        estimate.interval_ms.low <= truth_ms && truth_ms <= estimate.interval_ms.high ? 1 : 0;
    outcome.mean_wall_s += board.now_s() / trials;
    outcome.errors.push_back(std::abs(estimate.median_ms / truth_ms - 1.0));

    SimulatedBoard plain(model, rng.derive("plain"));
    plain.start_process();
    for (int i = 0; i < 20; ++i) plain.infer(true);
    double total_s = 0.0;
    for (int i = 0; i < 50; ++i) total_s += plain.infer(true);
    outcome.mean_errors.push_back(std::abs(total_s / 50.0 / model.candidate_s - 1.0));
  }
  outcome.coverage = static_cast<double>(covered) / trials;
  return outcome;
}

}  // namespace lathe::latency::test
