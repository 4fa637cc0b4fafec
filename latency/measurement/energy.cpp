#include "latency/measurement/energy.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <string>

#include "core/error.h"
#include "core/statistics.h"

namespace lathe::latency {

EnergyEstimate estimate_energy(const std::vector<EnergyWindow>& windows, double level) {
  if (windows.size() < 2) {
    throw InvariantError("estimate_energy: windows = " + std::to_string(windows.size()) +
                         ", expected at least 2");
  }
  std::vector<double> energies_mj;
  double joules = 0.0;
  double duration_s = 0.0;
  for (const EnergyWindow& window : windows) {
    const bool valid = window.inferences > 0 && window.duration_s > 0.0 && window.joules > 0.0 &&
                       std::isfinite(window.joules);
    if (!valid) {
      throw InvariantError("estimate_energy: " + std::to_string(window.joules) + " J for " +
                           std::to_string(window.inferences) + " inferences in " +
                           std::to_string(window.duration_s) + " s, expected more than 0 of each");
    }
    energies_mj.push_back(1e3 * window.joules / static_cast<double>(window.inferences));
    joules += window.joules;
    duration_s += window.duration_s;
  }
  const auto count = static_cast<double>(windows.size());
  const boost::math::students_t student(count - 1.0);
  const double half = boost::math::quantile(student, 0.5 + level / 2.0) *
                      standard_deviation(energies_mj) / std::sqrt(count);
  EnergyEstimate estimate;
  estimate.mean_mj = mean(energies_mj);
  estimate.interval_mj = {std::max(0.0, estimate.mean_mj - half), estimate.mean_mj + half, level};
  estimate.power_w = joules / duration_s;
  return estimate;
}

}  // namespace lathe::latency
