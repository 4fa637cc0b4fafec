#include "cli/pipeline/baselines.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "cli/pipeline/model_file.h"
#include "cli/pipeline/summary_values.h"
#include "core/file.h"
#include "network/cost.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"

namespace lathe::cli {
namespace {

/// The input and the classes that the run's own networks have, at the largest resolution.
network::ReferenceOptions options_of(const search::SearchSpace& space) {
  const network::Network largest = space.lower(space.largest());
  network::ReferenceOptions options;
  options.channels = largest.input_shape().at(1);
  options.resolution = largest.input_shape().at(2);
  options.classes = largest.output_shape().at(1);
  return options;
}

/// A model of floats runs as it is, also where the run's own networks are int8.
Result<latency::LatencyEstimate> measure_model(const BaselineModel& model,
                                               const latency::DeviceConfig& board,
                                               Evaluators& evaluators) {
  const bool in_floats = board.precision != latency::Precision::Int8;
  return evaluators.measure_again(board.name, {}, model.onnx, board.plan,
                                  in_floats ? board.precision : latency::Precision::Fp32);
}

search::Candidate candidate_of(network::Network network) {
  search::Candidate candidate;
  candidate.computation = network::digest(network, network::DigestKind::Computation);
  candidate.structure = network::digest(network::deploy(network), network::DigestKind::Structure);
  candidate.network = std::make_shared<network::Network>(std::move(network));
  return candidate;
}

}  // namespace

std::vector<std::string> default_baselines() {
  return {kLargestBaseline, "mobilenet_v2", "shufflenet_v2", "efficientnet_b0", "resnet18"};
}

bool is_baseline_file(const std::string& entry) {
  return std::filesystem::path(entry).extension() == ".onnx";
}

BaselineModels read_baseline_models(const RunConfig& config) {
  BaselineModels models;
  for (const std::string& entry : config.baselines) {
    if (is_baseline_file(entry)) {
      models[entry] = {read_model_of_space(entry, *config.space, "a baseline"), read_file(entry)};
    }
  }
  return models;
}

BaselineModel largest_baseline(const search::SearchSpace& space, supernet::Supernet& supernet) {
  BaselineModel largest;
  largest.model = network::deploy(supernet.extract(space.lower(space.largest())).model);
  network::OnnxExportOptions options;
  options.dynamic_batch = true;
  largest.onnx = network::to_onnx(largest.model, options);
  return largest;
}

MeasuredBaselines measure_baselines(const RunConfig& config, const BaselineModels& models,
                                    Evaluators& evaluators,
                                    const std::function<supernet::TestSplit&()>& test_split,
                                    Progress& progress) {
  MeasuredBaselines measured;
  if (config.baselines.empty()) return measured;
  const network::ReferenceOptions options = options_of(*config.space);
  progress.begin("baselines", static_cast<int64_t>(config.baselines.size()), "network");
  for (const std::string& entry : config.baselines) {
    const auto model = models.find(entry);
    const search::Candidate candidate =
        candidate_of(model == models.end() ? network::reference_network(entry, options)
                                           : model->second.model.network);
    const network::Cost cost = network::cost(*candidate.network);
    report::Baseline baseline;
    baseline.name = entry == kLargestBaseline ? "largest of the supernet"
                                              : std::filesystem::path(entry).filename().string();
    baseline.macs = cost.macs;
    // Batch norms are folded into the largest's file; those of the front are counted with theirs.
    baseline.params = entry == kLargestBaseline
                          ? network::cost(config.space->lower(config.space->largest())).params
                          : cost.params;
    baseline.size_bytes = cost.model_bytes;
    if (model != models.end()) {
      baseline.size_bytes = static_cast<int64_t>(model->second.onnx.size());
      const search::AccuracyEstimate test = test_split().accuracy(model->second.model);
      baseline.accuracy = report::Accuracy{test.top1, test.standard_error, test.images};
    }
    for (const latency::DeviceConfig& board : config.boards()) {
      const auto result = model == models.end()
                              ? evaluators.latency(board.name).measure(candidate, board.plan).get()
                              : measure_model(model->second, board, evaluators);
      if (result.ok()) {
        baseline.latencies.push_back({board.name, latency_of(*result)});
      } else {
        measured.warnings.push_back("baseline " + baseline.name + " was not measured on " +
                                    board.name + ": " + to_string(result.failure().kind) + ": " +
                                    result.failure().message);
      }
    }
    measured.baselines.push_back(std::move(baseline));
    progress.update(static_cast<int64_t>(measured.baselines.size()), entry);
  }
  progress.end();
  return measured;
}

}  // namespace lathe::cli
