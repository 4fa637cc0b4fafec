#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/run_config.h"
#include "cli/report/run_summary.h"
#include "core/progress.h"
#include "network/network.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// The entry of RunConfig::baselines that stands for the supernet's largest network.
constexpr const char* kLargestBaseline = "largest";
/// What a report compares with unless the config says otherwise.
std::vector<std::string> default_baselines();
/// Whether an entry of RunConfig::baselines is a file and not the name of a published network.
bool is_baseline_file(const std::string& entry);

/// A baseline with weights.
struct BaselineModel {
  network::Model model;
  std::string onnx;  ///< the bytes of its file
};
/// By entry of RunConfig::baselines, those with weights.
using BaselineModels = std::map<std::string, BaselineModel>;
/// Reads those that are files. \throws DataError naming a file that cannot be read; ConfigError if
/// it is not a float network of the space's channels and classes.
BaselineModels read_baseline_models(const RunConfig& config);

/// The largest network with its inherited weights, as it would be delivered.
BaselineModel largest_baseline(const search::SearchSpace& space, supernet::Supernet& supernet);

/// What is known of the baselines on a run's boards.
struct MeasuredBaselines {
  std::vector<report::Baseline> baselines;
  std::vector<std::string> warnings;  ///< which network could not be measured where, and why
};

/// Measures RunConfig::baselines on the run's boards with the plan of the search: `models` always,
/// of published networks only what the store does not know. Published networks are made for the
/// input and the classes of the space and not trained, so their accuracy is unknown; that of models
/// is what `test_split` gives, which is called only if there are any. \throws DeviceError if the
/// boards cannot be used.
MeasuredBaselines measure_baselines(const RunConfig& config, const BaselineModels& models,
                                    Evaluators& evaluators,
                                    const std::function<supernet::TestSplit&()>& test_split,
                                    Progress& progress);

}  // namespace lathe::cli
