#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "core/statistics.h"
#include "experiments/measurement/studies.h"
#include "network/cost.h"

namespace lathe::study {

using nlohmann::json;

json study_drift(Bench& bench, bool quick) {
  const int rounds = quick ? 10 : 40;
  const std::vector<NamedNetwork> networks = mixed_networks();
  std::vector<std::vector<double>> logs(networks.size());
  std::vector<std::vector<double>> widths(networks.size());
  std::vector<std::string> drifts(networks.size());  // of the last measurement
  for (int round = 0; round < rounds; ++round) {
    for (size_t n = 0; n < networks.size(); ++n) {
      const latency::LatencyEstimate estimate = bench.measure(networks[n], {});
      logs[n].push_back(std::log(estimate.median_ms));
      const auto drift = estimate.conditions.extra.find("drift_half_width");
      if (drift != estimate.conditions.extra.end()) drifts[n] = drift->second;
      widths[n].push_back(estimate.half_width());
    }
  }
  json rows = json::array();
  std::vector<double> ratios;
  for (size_t n = 0; n < networks.size(); ++n) {
    const double megabytes =
        1e-6 * static_cast<double>(network::cost(networks[n].network).model_bytes);
    const double spread = standard_deviation(logs[n]);
    const double half_width = median(widths[n]);
    const double drift = drifts[n].empty() ? 0.0 : std::stod(drifts[n]);
    std::vector<double> together;
    for (size_t other = 0; other < networks.size(); ++other) {
      if (other != n) together.push_back(pearson(logs[n], logs[other]));
    }
    ratios.push_back(1.96 * spread / half_width);
    rows.push_back({{"network", networks[n].name},
                    {"weights_mb", megabytes},
                    {"median_ms", std::exp(median(logs[n]))},
                    {"standard_deviation", spread},
                    {"half_width", half_width},
                    {"drift_half_width", drift},
                    {"correlation_with_others", median(together)}});
    std::printf(
        "  %-22s %5.1f MB %8.3f ms  deviation %.2f %%, intervals +-%.2f %% (drift %.2f %%), "
        "correlation %.2f\n",
        networks[n].name.c_str(), megabytes, std::exp(median(logs[n])), 100.0 * spread,
        100.0 * half_width, 100.0 * drift, median(together));
  }
  std::printf("%d measurements each: 1.96 deviations are %.2f of the intervals' half-width\n",
              rounds, median(ratios));
  return {{"rounds", rounds}, {"deviation_of_half_width", median(ratios)}, {"networks", rows}};
}

}  // namespace lathe::study
