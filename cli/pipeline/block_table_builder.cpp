#include "cli/pipeline/block_table_builder.h"

#include <future>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "cli/interrupt.h"
#include "core/error.h"
#include "core/log.h"
#include "search/evaluation/candidate.h"

namespace lathe::cli {
namespace {

using Measured = std::vector<Result<latency::LatencyEstimate>>;

/// Measures all of them, as many at once as there are boards. Shorter than `candidates` if the user
/// asked to stop. \throws DeviceError if the board cannot be reached.
Measured measure_all(search::LatencyEvaluator& device,
                     const std::vector<search::Candidate>& candidates, const std::string& stage,
                     Progress& progress) {
  const auto in_flight = static_cast<size_t>(2 * std::max(1, device.boards()));
  std::vector<std::future<Result<latency::LatencyEstimate>>> waiting;
  Measured results;
  progress.begin(stage, static_cast<int64_t>(candidates.size()), "network");
  for (size_t i = 0; i < candidates.size(); ++i) {
    while (waiting.size() < std::min(candidates.size(), i + in_flight)) {
      waiting.push_back(device.measure(candidates[waiting.size()], device.default_plan()));
    }
    results.push_back(waiting[i].get());
    const auto& result = results.back();
    if (!result.ok() && result.failure().kind == FailureKind::Unavailable) {
      throw DeviceError("device " + device.device() + ": " + result.failure().message +
                        "; what was measured is kept, the same command goes on");
    }
    progress.update(static_cast<int64_t>(i + 1), "");
    if (interrupted()) break;
  }
  progress.end();
  return results;
}

search::Candidate candidate_of(const search::SpaceBlock& block) {
  search::Candidate candidate;
  candidate.network = std::make_shared<network::Network>(block.network);
  candidate.structure = network::digest(block.network, network::DigestKind::Structure);
  return candidate;
}

search::BlockTable::Block entry_of(const search::SpaceBlock& block,
                                   const latency::LatencyEstimate& estimate) {
  search::BlockTable::Block entry;
  entry.structure = block.structure;
  entry.name = block.name;
  entry.input = network::to_string(block.network.input_shape());
  entry.output = network::to_string(block.network.output_shape());
  entry.macs = block.macs;
  entry.occurrences = block.occurrences;
  entry.median_ms = estimate.median_ms;
  entry.interval_ms = estimate.interval_ms;
  entry.verdict = estimate.verdict;
  return entry;
}

/// Returns false if the user asked to stop.
bool add_blocks(const RunConfig& config, const BlockTableOptions& options,
                search::LatencyEvaluator& device, Progress& progress, search::BlockTable& table) {
  std::vector<search::SpaceBlock> blocks = search::sample_blocks(
      *config.space, options.drawn_networks, Rng(config.seed).derive("table"));
  double all = 0.0;
  for (const search::SpaceBlock& block : blocks) all += static_cast<double>(block.occurrences);
  if (blocks.size() > static_cast<size_t>(options.blocks)) {
    blocks.resize(static_cast<size_t>(options.blocks));
  }
  std::vector<search::Candidate> candidates;
  for (const search::SpaceBlock& block : blocks) candidates.push_back(candidate_of(block));
  const Measured results = measure_all(device, candidates, "blocks", progress);
  if (results.size() < candidates.size()) return false;
  double covered = 0.0;
  std::string first_failure;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!results[i].ok()) {
      const std::string failure = blocks[i].name + ": " + results[i].failure().message;
      log::warning("no entry for block " + failure);
      if (first_failure.empty()) first_failure = failure;
      continue;
    }
    covered += static_cast<double>(blocks[i].occurrences);
    table.blocks.push_back(entry_of(blocks[i], *results[i]));
    table.fingerprint = results[i]->conditions.device_fingerprint;
    table.engine_version = results[i]->conditions.engine_version;
  }
  table.covered = covered / all;
  if (table.blocks.empty()) {
    throw DeviceError("device " + options.device + ": no block could be measured; the first was " +
                      first_failure);
  }
  return true;
}

/// The smallest, the largest and uniform draws, each network once.
std::vector<search::Candidate> whole_networks(const RunConfig& config, int64_t count) {
  std::vector<search::Candidate> candidates;
  std::set<network::Digest> seen;
  Rng rng = Rng(config.seed).derive("table networks");
  for (int64_t tries = 0; tries < 20 * count; ++tries) {
    if (candidates.size() == static_cast<size_t>(count)) break;
    const search::Architecture architecture = tries == 0   ? config.space->smallest()
                                              : tries == 1 ? config.space->largest()
                                                           : config.space->sample(rng);
    search::Candidate candidate = search::make_candidate(*config.space, architecture, 0).candidate;
    if (seen.insert(candidate.structure).second) candidates.push_back(std::move(candidate));
  }
  return candidates;
}

bool add_networks(const RunConfig& config, const BlockTableOptions& options,
                  search::LatencyEvaluator& device, Progress& progress, search::BlockTable& table) {
  const std::vector<search::Candidate> candidates = whole_networks(config, options.networks);
  const Measured results = measure_all(device, candidates, "whole networks", progress);
  if (results.size() < candidates.size()) return false;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (results[i].ok()) {
      table.networks.push_back({candidates[i].architecture, results[i]->median_ms, 0.0});
    } else {
      log::warning("network " + candidates[i].architecture.to_string() + ": " +
                   results[i].failure().message);
    }
  }
  if (table.networks.size() < search::BlockTable::kLeastNetworks) {
    throw DeviceError("device " + options.device + ": " + std::to_string(table.networks.size()) +
                      " whole networks could be measured, expected at least 8");
  }
  return true;
}

}  // namespace

std::optional<search::BlockTable> build_block_table(const RunConfig& config,
                                                    const BlockTableOptions& options,
                                                    Evaluators& evaluators, Progress& progress) {
  search::BlockTable table;
  table.space = config.space->name();
  table.device = options.device;
  for (const latency::DeviceConfig& device : config.devices) {
    if (device.name != options.device) continue;
    table.engine = device.engine;
    table.precision = device.precision;
    table.threads = device.threads;
  }
  search::LatencyEvaluator& device = evaluators.latency(options.device);
  if (!add_blocks(config, options, device, progress, table)) return std::nullopt;
  if (!add_networks(config, options, device, progress, table)) return std::nullopt;
  search::reconcile(*config.space, table);
  return table;
}

}  // namespace lathe::cli
