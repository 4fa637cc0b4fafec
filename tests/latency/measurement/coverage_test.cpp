#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "core/statistics.h"
#include "tests/latency/measurement/simulated_board.h"

// Thousands of measurements of a simulated board with the tails of a published Raspberry Pi 5: do
// nominal 95 % intervals cover the true median, and how far off is the plain mean of 50 runs?

namespace lathe::latency {
namespace {

using test::BoardModel;
using test::SimulatedBoard;

struct Outcome {
  double coverage = 0.0;
  double mean_wall_s = 0.0;
  std::vector<double> errors;       ///< relative, of the session's median
  std::vector<double> mean_errors;  ///< relative, of the mean of 50 after 20 warm-up inferences
};

Outcome simulate(double candidate_s, double process_sd, int trials, uint64_t seed) {
  Outcome outcome;
  ProcessVariance variance;
  int covered = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Rng rng = Rng(seed).derive("trial", static_cast<uint64_t>(trial));
    BoardModel model;
    model.candidate_s = candidate_s * std::exp(0.3 * rng.normal());
    model.cv = test::draw_cv(rng);
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
    test::drive(session, board, plan);
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

TEST_CASE("nominal 95 % intervals cover the true latency in 92 to 98 % of simulated measurements") {
  std::printf(
      "candidate  process sd | coverage  error p50  p99   | mean of 50: error p50  p99   | board "
      "time\n");
  for (double candidate_s : {0.0004, 0.004, 0.018}) {
    for (double process_sd : {0.002, 0.005, 0.010}) {
      CAPTURE(candidate_s);
      CAPTURE(process_sd);
      const Outcome outcome = simulate(candidate_s, process_sd, 2000, 7);
      std::printf(
          "%6.1f ms   %7.2f %%  | %6.2f %%  %7.3f %% %6.2f %% | %19.3f %% %6.2f %% | %.2f s\n",
          1e3 * candidate_s, 100.0 * process_sd, 100.0 * outcome.coverage,
          100.0 * quantile(outcome.errors, 0.5), 100.0 * quantile(outcome.errors, 0.99),
          100.0 * quantile(outcome.mean_errors, 0.5), 100.0 * quantile(outcome.mean_errors, 0.99),
          outcome.mean_wall_s);
      CHECK(outcome.coverage >= 0.92);
      CHECK(outcome.coverage <= 0.98);
      CHECK(quantile(outcome.errors, 0.5) < quantile(outcome.mean_errors, 0.5));
      CHECK(quantile(outcome.errors, 0.99) < 0.6 * quantile(outcome.mean_errors, 0.99));
    }
  }
}

TEST_CASE(
    "the median of blocks stays within 1 % on the noisiest networks where the mean of 50 is 3 % "
    "off") {
  std::vector<double> errors;
  std::vector<double> mean_errors;
  for (int trial = 0; trial < 500; ++trial) {
    Rng rng = Rng(21).derive("trial", static_cast<uint64_t>(trial));
    BoardModel model;
    model.cv = 0.14;
    model.process_sd = 0.002;
    MeasurementPlan plan;
    SessionOptions options;
    options.plan = plan;
    options.reference_s = model.reference_s;
    MeasurementSession session(options);
    SimulatedBoard board(model, rng.derive("board"));
    test::drive(session, board, plan);
    errors.push_back(session.result().median_ms / (1e3 * model.candidate_s) - 1.0);
    SimulatedBoard plain(model, rng.derive("plain"));
    plain.start_process();
    for (int i = 0; i < 20; ++i) plain.infer(true);
    double total_s = 0.0;
    for (int i = 0; i < 50; ++i) total_s += plain.infer(true);
    mean_errors.push_back(total_s / 50.0 / model.candidate_s - 1.0);
  }
  std::printf("cv 14 %%: bias of the session %.2f %%, of the mean of 50 %.2f %%\n",
              100.0 * median(errors), 100.0 * median(mean_errors));
  CHECK(std::abs(median(errors)) < 0.003);
  CHECK(median(mean_errors) > 0.015);
}

}  // namespace
}  // namespace lathe::latency
