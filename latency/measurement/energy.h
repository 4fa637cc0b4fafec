#pragma once

#include <cstdint>
#include <vector>

#include "latency/measurement/latency_estimate.h"

namespace lathe::latency {

/// A stretch of time in which one network ran without pause.
struct EnergyWindow {
  double joules = 0.0;  ///< that the sensor counted
  double duration_s = 0.0;
  int64_t inferences = 0;
};

/// In so many equal windows the time of MeasurementPlan::energy_s is divided: their scatter gives
/// the interval.
constexpr int kEnergyWindows = 10;

/// Returns the energy of one inference: the mean over the windows, with Student's interval of
/// `level`. The sensor's name is the caller's to fill in. \throws InvariantError if there are fewer
/// than 2 windows, or one without inferences, time or energy.
EnergyEstimate estimate_energy(const std::vector<EnergyWindow>& windows, double level);

}  // namespace lathe::latency
