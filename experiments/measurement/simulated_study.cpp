// The same figures as of a simulated clock, where the truth is known.
#include <cstdio>

#include "core/statistics.h"
#include "experiments/measurement/studies.h"
#include "tests/latency/measurement/simulated_coverage.h"

namespace lathe::study {

nlohmann::json study_simulated(Bench&, bool quick) {
  const int trials = quick ? 300 : 2000;
  nlohmann::json rows = nlohmann::json::array();
  double lowest = 1.0;
  double highest = 0.0;
  std::vector<double> wall_ratios;
  for (const double candidate_s : {0.0004, 0.004, 0.018}) {
    for (const double process_sd : {0.002, 0.005, 0.010}) {
      const latency::test::Outcome outcome =
          latency::test::simulate(candidate_s, process_sd, trials, 7);
      lowest = std::min(lowest, outcome.coverage);
      highest = std::max(highest, outcome.coverage);
      wall_ratios.insert(wall_ratios.end(), outcome.wall_ratios.begin(), outcome.wall_ratios.end());
      rows.push_back({{"candidate_ms", 1e3 * candidate_s},
                      {"process_sd", process_sd},
                      {"coverage", outcome.coverage},
                      {"reached_1_percent", outcome.reached},
                      {"wall_s", median(outcome.walls_s)},
                      {"wall_p90_s", quantile(outcome.walls_s, 0.9)},
                      {"share_of_tflite", median(outcome.wall_ratios)},
                      {"share_of_tflite_p90", quantile(outcome.wall_ratios, 0.9)},
                      {"error_p50", quantile(outcome.errors, 0.5)},
                      {"error_p99", quantile(outcome.errors, 0.99)},
                      {"mean_of_50_error_p50", quantile(outcome.mean_errors, 0.5)},
                      {"mean_of_50_error_p99", quantile(outcome.mean_errors, 0.99)}});
    }
  }
  std::printf("simulated boards, %d measurements each: coverage %.1f to %.1f %%\n", trials,
              100.0 * lowest, 100.0 * highest);
  std::printf("candidate  process sd   within 1 %%   board time, 9 of 10   of TFLite's, 9 of 10\n");
  for (const nlohmann::json& row : rows) {
    std::printf("%6.1f ms   %7.1f %%   %8.1f %%   %8.2f s   %6.2f s   %10.2f   %8.2f\n",
                row["candidate_ms"].get<double>(), 100.0 * row["process_sd"].get<double>(),
                100.0 * row["reached_1_percent"].get<double>(), row["wall_s"].get<double>(),
                row["wall_p90_s"].get<double>(), row["share_of_tflite"].get<double>(),
                row["share_of_tflite_p90"].get<double>());
  }
  return {{"trials", trials},
          {"lowest", lowest},
          {"highest", highest},
          {"share_of_tflite", median(wall_ratios)},
          {"share_of_tflite_p90", quantile(wall_ratios, 0.9)},
          {"rows", rows}};
}

}  // namespace lathe::study
