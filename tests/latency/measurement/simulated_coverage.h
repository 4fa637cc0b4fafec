#pragma once

#include <cmath>
#include <vector>

#include "tests/latency/measurement/simulated_board.h"

namespace lathe::latency::test {

/// What many measurements of simulated boards came to.
struct Outcome {
  double coverage = 0.0;
  std::vector<double> walls_s;      ///< what each measurement took, by the board's clock
  std::vector<double> wall_ratios;  ///< to what TFLite's benchmark tool takes by its defaults
  double reached = 0.0;             ///< share of measurements whose interval is within 1 %
  std::vector<double> errors;       ///< relative, of the session's median
  std::vector<double> mean_errors;  ///< relative, of the mean of 50 after 20 warm-up inferences
};

/// What TFLite's benchmark tool takes by its defaults: load, 0.5 s of warm-up, then 50 runs and 1 s.
inline double tflite_wall_s(SimulatedBoard board) {
  board.start_process();
  const double warmed_s = board.now_s() + 0.5;
  while (board.now_s() < warmed_s) board.infer(true);
  const double begin_s = board.now_s();
  for (int runs = 0; runs < 50 || board.now_s() < begin_s + 1.0; ++runs) board.infer(true);
  return board.now_s();
}

/// Measures boards with the tails of a published Raspberry Pi 5 by sessions, and by the mean of 50
/// runs.
inline Outcome simulate(double candidate_s, double process_sd, int trials, uint64_t seed) {
  Outcome outcome;
  ProcessVariance variance;
  int covered = 0;
  int reached = 0;
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
    drive(session, board);
    variance = session.learned_variance();

    const LatencyEstimate estimate = session.result();
    const double truth_ms = 1e3 * model.candidate_s;
    covered +=
        estimate.interval_ms.low <= truth_ms && truth_ms <= estimate.interval_ms.high ? 1 : 0;
    reached += estimate.half_width() <= 0.0101 ? 1 : 0;
    outcome.walls_s.push_back(board.now_s());
    outcome.wall_ratios.push_back(board.now_s() /
                                  tflite_wall_s(SimulatedBoard(model, rng.derive("TFLite"))));
    outcome.errors.push_back(std::abs(estimate.median_ms / truth_ms - 1.0));

    SimulatedBoard plain(model, rng.derive("plain"));
    plain.start_process();
    for (int i = 0; i < 20; ++i) plain.infer(true);
    double total_s = 0.0;
    for (int i = 0; i < 50; ++i) total_s += plain.infer(true);
    outcome.mean_errors.push_back(std::abs(total_s / 50.0 / model.candidate_s - 1.0));
  }
  outcome.coverage = static_cast<double>(covered) / trials;
  outcome.reached = static_cast<double>(reached) / trials;
  return outcome;
}

}  // namespace lathe::latency::test
