#include "cli/pipeline/baselines.h"

#include <memory>
#include <utility>

#include "cli/pipeline/summary_values.h"
#include "network/cost.h"
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

search::Candidate candidate_of(network::Network network) {
  search::Candidate candidate;
  candidate.computation = network::digest(network, network::DigestKind::Computation);
  candidate.structure = network::digest(network::deploy(network), network::DigestKind::Structure);
  candidate.network = std::make_shared<network::Network>(std::move(network));
  return candidate;
}

}  // namespace

std::vector<std::string> default_baselines() {
  return {"mobilenet_v2", "shufflenet_v2", "efficientnet_b0", "resnet18"};
}

MeasuredBaselines measure_baselines(const RunConfig& config, Evaluators& evaluators,
                                    Progress& progress) {
  MeasuredBaselines measured;
  if (config.baselines.empty()) return measured;
  const network::ReferenceOptions options = options_of(*config.space);
  progress.begin("baselines", static_cast<int64_t>(config.baselines.size()), "network");
  for (const std::string& name : config.baselines) {
    const search::Candidate candidate = candidate_of(network::reference_network(name, options));
    const network::Cost cost = network::cost(*candidate.network);
    report::Baseline baseline;
    baseline.name = name;
    baseline.macs = cost.macs;
    baseline.params = cost.params;
    for (const latency::DeviceConfig& board : config.boards()) {
      const auto result = evaluators.latency(board.name).measure(candidate, board.plan).get();
      if (result.ok()) {
        baseline.latencies.push_back({board.name, latency_of(*result)});
      } else {
        measured.warnings.push_back("baseline " + name + " was not measured on " + board.name +
                                    ": " + to_string(result.failure().kind) + ": " +
                                    result.failure().message);
      }
    }
    measured.baselines.push_back(std::move(baseline));
    progress.update(static_cast<int64_t>(measured.baselines.size()), name);
  }
  progress.end();
  return measured;
}

}  // namespace lathe::cli
