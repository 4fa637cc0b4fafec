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
  for (const double candidate_s : {0.0004, 0.004, 0.018}) {
    for (const double process_sd : {0.002, 0.005, 0.010}) {
      const latency::test::Outcome outcome =
          latency::test::simulate(candidate_s, process_sd, trials, 7);
      lowest = std::min(lowest, outcome.coverage);
      highest = std::max(highest, outcome.coverage);
      rows.push_back({{"candidate_ms", 1e3 * candidate_s},
                      {"process_sd", process_sd},
                      {"coverage", outcome.coverage},
                      {"error_p50", quantile(outcome.errors, 0.5)},
                      {"error_p99", quantile(outcome.errors, 0.99)},
                      {"mean_of_50_error_p50", quantile(outcome.mean_errors, 0.5)},
                      {"mean_of_50_error_p99", quantile(outcome.mean_errors, 0.99)}});
    }
  }
  std::printf("simulated boards, %d measurements each: coverage %.1f to %.1f %%\n", trials,
              100.0 * lowest, 100.0 * highest);
  return {{"trials", trials}, {"lowest", lowest}, {"highest", highest}, {"rows", rows}};
}

}  // namespace lathe::study
