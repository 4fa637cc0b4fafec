#pragma once

#include <string>
#include <vector>

#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/run_config.h"
#include "cli/report/run_summary.h"
#include "core/progress.h"

namespace lathe::cli {

/// The published networks that a report compares with unless the config names others.
std::vector<std::string> default_baselines();

/// What is known of published networks on a run's boards.
struct MeasuredBaselines {
  std::vector<report::Baseline> baselines;
  std::vector<std::string> warnings;  ///< which network could not be measured where, and why
};

/// Measures RunConfig::baselines, made for the input and the classes of the run's space, on its
/// boards with the plan of the search; what the store knows is not measured again. They are not
/// trained here, so their accuracy is unknown. \throws DeviceError if the boards cannot be used.
MeasuredBaselines measure_baselines(const RunConfig& config, Evaluators& evaluators,
                                    Progress& progress);

}  // namespace lathe::cli
