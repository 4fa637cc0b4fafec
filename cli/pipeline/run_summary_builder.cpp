#include "cli/pipeline/run_summary_builder.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/pipeline/block_strip.h"
#include "cli/pipeline/findings_summary.h"
#include "cli/pipeline/front_selection.h"
#include "cli/pipeline/machine.h"
#include "cli/pipeline/pick_rule.h"
#include "cli/pipeline/scaling_summary.h"
#include "cli/pipeline/summary_values.h"
#include "cli/pipeline/summary_warnings.h"
#include "core/clock.h"
#include "core/file.h"
#include "network/architecture_json.h"
#include "search/archive/dominance.h"

namespace lathe::cli {
namespace {

int64_t value_of(const search::Metrics& metrics, search::MetricKind kind) {
  const auto found = metrics.find({kind, ""});
  return found == metrics.end() ? 0 : static_cast<int64_t>(found->second.value);
}

report::CandidateRecord candidate_of(const search::Evaluated& evaluated, const RunConfig& config) {
  report::CandidateRecord record;
  record.index = evaluated.candidate.index;
  record.architecture = evaluated.candidate.architecture.to_string();
  record.description = config.space->describe(evaluated.candidate.architecture);
  if (evaluated.accuracy) record.accuracy = accuracy_of(*evaluated.accuracy);
  for (const auto& [device, estimate] : evaluated.latencies) {
    record.latencies.push_back({device, latency_of(estimate)});
  }
  record.macs = value_of(evaluated.metrics, search::MetricKind::Macs);
  record.params = value_of(evaluated.metrics, search::MetricKind::Params);
  record.peak_memory_bytes = value_of(evaluated.metrics, search::MetricKind::PeakMemory);
  record.model_size_bytes = value_of(evaluated.metrics, search::MetricKind::ModelSize);
  record.feasible = evaluated.ok() && config.search.problem.violation(evaluated.metrics) == 0.0;
  record.screened = evaluated.screened;
  if (evaluated.failure) {
    record.failures.push_back(
        {evaluated.failed_on, to_string(evaluated.failure->kind), evaluated.failure->message});
  }
  return record;
}

std::vector<report::FrontLatency> latencies_of(const ChosenNetwork& network,
                                               const NetworkResult& result,
                                               const RunConfig& config) {
  std::vector<report::FrontLatency> latencies;
  for (const latency::DeviceConfig& device : config.devices) {
    report::FrontLatency entry;
    entry.device = device.name;
    const auto searched = network.evaluated.latencies.find(device.name);
    // What was compressed since then is another network.
    if (searched != network.evaluated.latencies.end() && !result.was_pruned &&
        network.precision != latency::Precision::Int8) {
      entry.searched = latency_of(searched->second);
      entry.conditions = conditions_of(searched->second.conditions);
    }
    const auto confirmed = result.confirmed.find(device.name);
    if (confirmed != result.confirmed.end()) {
      entry.confirmed = latency_of(confirmed->second.estimate);
      entry.conditions = conditions_of(confirmed->second.estimate.conditions);
    }
    latencies.push_back(entry);
  }
  return latencies;
}

std::vector<report::ExportedFile> files_of(const std::filesystem::path& folder,
                                           const std::string& id, latency::Precision precision) {
  std::vector<report::ExportedFile> files;
  const auto add = [&](const char* name, const char* format, const char* values) {
    const auto path = folder / name;
    if (!std::filesystem::exists(path)) return;
    files.push_back({"export/" + id + "/" + name, format, values,
                     static_cast<int64_t>(std::filesystem::file_size(path)),
                     sha256_hex(read_file(path))});
  };
  add("model.onnx", "onnx", latency::to_string(precision));
  add("architecture.json", "architecture", "");
  add("preprocessing.json", "preprocessing", "");
  add("trained.onnx", "trainable", "fp32");
  add("model_card.md", "model_card", "");
  return files;
}

std::vector<report::DeviceLatency> latencies_of(
    const std::map<std::string, NetworkResult::Confirmation>& confirmed) {
  std::vector<report::DeviceLatency> latencies;
  for (const auto& [device, confirmation] : confirmed) {
    latencies.push_back({device, latency_of(confirmation.estimate)});
  }
  return latencies;
}

/// The steps of a network. Those before the channels were pruned took what the network then took;
/// of an int8 network those in fp32 what `trained`, its fp32 network, takes.
std::vector<report::NetworkStep> steps_of(const NetworkResult& result,
                                          const NetworkResult& trained) {
  std::vector<report::NetworkStep> steps;
  for (size_t i = 0; i < result.steps.size(); ++i) {
    const CompressionStep& from = result.steps[i];
    report::NetworkStep step;
    step.name = from.name;
    step.note = from.note;
    step.validation = accuracy_of(from.validation);
    step.macs = from.cost.macs;
    step.params = from.cost.params;
    step.peak_memory_bytes = from.cost.peak_activation_bytes;
    step.weight_bytes = from.cost.model_bytes;
    const bool in_float = i < trained.steps.size();
    const bool before_pruning = trained.was_pruned && i + 1 < trained.steps.size();
    step.latencies = latencies_of(!in_float        ? result.confirmed
                                  : before_pruning ? trained.unpruned
                                                   : trained.confirmed);
    steps.push_back(std::move(step));
  }
  return steps;
}

/// As it was searched; with fewer channels, if some were pruned.
network::Network delivered_network(const ChosenNetwork& network, const SummarySources& sources) {
  if (!sources.exporter.load(sources.exporter.in_float(network)).was_pruned) {
    return sources.config.space->lower(network.evaluated.candidate.architecture);
  }
  const auto file = sources.exporter.folder(network) / "architecture.json";
  return network::network_from_json(read_file(file));
}

report::FrontNetwork front_network_of(const ChosenNetwork& network, const SummarySources& sources) {
  const RunConfig& config = sources.config;
  const NetworkResult result = sources.exporter.load(network);
  report::FrontNetwork front;
  front.id = network.id;
  front.candidate_index = network.evaluated.candidate.index;
  front.architecture = result.architecture;
  front.description = config.space->describe(network.evaluated.candidate.architecture);
  if (result.validation) {
    front.validation = accuracy_of(*result.validation);
  } else if (network.evaluated.accuracy) {
    front.validation = accuracy_of(*network.evaluated.accuracy);
  }
  if (result.test) front.test = accuracy_of(*result.test);
  front.precision = latency::to_string(network.precision);
  front.latencies = latencies_of(network, result, config);
  if (result.steps.size() > 1) {
    const ChosenNetwork trained = sources.exporter.in_float(network);
    front.steps = steps_of(result, sources.exporter.load(trained));
  }
  const search::CountedCandidate counted =
      search::make_candidate(*config.space, network.evaluated.candidate.architecture, 0);
  search::Metrics counts = counted.counted;
  for (const auto& [metric, value] : sources.exporter.metrics(network)) counts[metric] = value;
  front.macs = value_of(counts, search::MetricKind::Macs);
  front.params = value_of(counts, search::MetricKind::Params);
  front.peak_memory_bytes = value_of(counts, search::MetricKind::PeakMemory);
  front.files = files_of(sources.exporter.folder(network), network.id, network.precision);
  front.model_size_bytes = value_of(counts, search::MetricKind::ModelSize);
  front.feasible = sources.exporter.holds(network);
  if (result.parity) {
    front.parity = report::Parity{result.parity->runtime, result.parity->max_abs_error,
                                  result.parity->top1_agreement, result.parity->images};
  }
  if (counted.candidate.network) {
    front.resolution = counted.candidate.network->input_shape().at(2);
    front.blocks = block_strip(*config.space, network.evaluated.candidate.architecture,
                               delivered_network(network, sources));
  }
  return front;
}

/// The objectives. Where none of them can tell int8 from fp32, the size joins them.
search::Problem final_problem(const RunConfig& config) {
  search::Problem problem = config.search.problem;
  const bool tells_apart =
      std::any_of(problem.objectives.begin(), problem.objectives.end(), [](const auto& metric) {
        return search::is_measured(metric.kind) || metric.kind == search::MetricKind::ModelSize ||
               metric.kind == search::MetricKind::PeakMemory;
      });
  if (config.quantize.enabled && !tells_apart) {
    problem.objectives.push_back({search::MetricKind::ModelSize, ""});
  }
  return problem;
}

/// Chooses the front again among what is delivered and holds every constraint.
void mark_dominated(std::vector<report::FrontNetwork>& front, const SummarySources& sources) {
  const search::Problem problem = final_problem(sources.config);
  std::vector<std::vector<double>> values;
  for (const ChosenNetwork& network : sources.chosen) {
    values.push_back(problem.minimised(sources.exporter.metrics(network)));
  }
  for (size_t i = 0; i < front.size(); ++i) {
    for (size_t j = 0; j < front.size() && !front[i].dominated_by; ++j) {
      if (front[j].feasible && search::dominates(values[j], values[i])) {
        front[i].dominated_by = front[j].id;
      }
    }
  }
}

/// Names the winners: of those that hold every constraint when measured again, and by those values.
void give_roles(std::vector<report::FrontNetwork>& front, const std::string& device) {
  std::vector<report::FrontNetwork*> winners;
  std::vector<FrontPoint> points;
  for (report::FrontNetwork& network : front) {
    if (!network.feasible || network.dominated_by) continue;
    const report::Latency* latency = report::best_latency(network, device);
    winners.push_back(&network);
    points.push_back({network.validation.top1,
                      latency ? latency->median_ms : static_cast<double>(network.macs)});
  }
  const std::vector<std::vector<std::string>> names = roles(points);
  for (size_t i = 0; i < winners.size(); ++i) winners[i]->roles = names[i];
}

report::Data data_of(const SummarySources& sources) {
  report::Data data;
  if (sources.config.accuracy) {
    const search::ReplayOptions& table = *sources.config.accuracy;
    data.table = table.table.filename().string() + ", column " + table.column;
    return data;
  }
  const supernet::DataSummary& from = sources.data;
  data.dataset = from.dataset;
  data.height = from.height;
  data.width = from.width;
  data.classes = from.class_names;
  data.splits = {{"train", from.train, from.train_hash},
                 {"calibration", from.calibration, from.calibration_hash},
                 {"validation", from.validation, from.validation_hash},
                 {"test", from.test, from.test_hash}};
  data.preprocessing.channels = from.channels;
  data.preprocessing.mean = from.mean;
  data.preprocessing.std = from.standard_deviation;
  std::ifstream ledger(sources.folder.file("test_reads.jsonl"));
  std::string line;
  while (std::getline(ledger, line)) {
    ++data.test_reads;
    const auto entry = nlohmann::json::parse(line, nullptr, false);
    if (data.test_opened_at.empty() && entry.is_object())
      data.test_opened_at = entry.value("time", "");
  }
  return data;
}

report::Space space_of(const RunConfig& config) {
  const search::Metrics smallest =
      search::make_candidate(*config.space, config.space->smallest(), 0).counted;
  const search::Metrics largest =
      search::make_candidate(*config.space, config.space->largest(), 0).counted;
  report::Space space;
  space.name = config.space->name();
  space.count = config.space->count();
  space.genes = static_cast<int64_t>(config.space->genes().size());
  space.smallest_macs = value_of(smallest, search::MetricKind::Macs);
  space.largest_macs = value_of(largest, search::MetricKind::Macs);
  space.smallest_params = value_of(smallest, search::MetricKind::Params);
  space.largest_params = value_of(largest, search::MetricKind::Params);
  return space;
}

report::Agent agent_of(const latency::AgentDescription& from) {
  report::Agent agent;
  agent.address = from.address;
  agent.agent_version = from.agent_version;
  agent.hostname = from.hostname;
  agent.model = from.model;
  agent.soc = from.soc;
  agent.kernel = from.kernel;
  agent.isa = from.isa;
  agent.fingerprint = from.fingerprint;
  agent.governor = from.governor;
  agent.usable_cores = from.usable_cores;
  agent.memory_bytes = from.memory_bytes;
  agent.emulated = from.emulated;
  agent.advice = from.advice;
  return agent;
}

std::vector<report::Device> devices_of(const SummarySources& sources) {
  std::vector<report::Device> devices;
  for (const latency::DeviceConfig& config : sources.config.devices) {
    report::Device device;
    device.name = config.name;
    device.shares_host = config.shares_host();
    device.engine = config.engine;
    device.threads = config.threads;
    device.precision = latency::to_string(config.precision);
    if (sources.config.tables.count(config.name) == 0) {
      device.target_half_width = config.plan.target_half_width;
    }
    for (const latency::AgentDescription& agent : sources.agents) {
      if (agent.device == config.name) device.agents.push_back(agent_of(agent));
    }
    for (const search::Evaluated& evaluated : sources.outcome.evaluated) {
      const auto spent = evaluated.board_s.find(config.name);
      if (spent != evaluated.board_s.end()) device.board_seconds += spent->second;
      const auto found = evaluated.latencies.find(config.name);
      if (found == evaluated.latencies.end()) continue;
      if (found->second.reused) ++device.reused;
      device.conditions = conditions_of(found->second.conditions);
      device.engine_version = found->second.conditions.engine_version;
      ++device.verdicts[latency::to_string(found->second.verdict)];
    }
    devices.push_back(device);
  }
  return devices;
}

report::Search search_of(const SummarySources& sources) {
  const search::SearchOptions& options = sources.config.search;
  report::Search search;
  search.strategy = options.strategy.name;
  for (const search::Metric& metric : options.problem.objectives) {
    search.objectives.push_back(search::to_string(metric));
  }
  for (const search::Constraint& constraint : options.problem.constraints) {
    search.constraints.push_back({search::to_string(constraint),
                                  search::to_string(constraint.metric), constraint.at_most,
                                  constraint.bound});
  }
  for (const search::Evaluated& evaluated : sources.outcome.evaluated) {
    search.candidates.push_back(candidate_of(evaluated, sources.config));
  }
  for (const search::GenerationRecord& generation : sources.outcome.generations) {
    search.generations.push_back(
        {generation.index, generation.evaluations, generation.front_size, generation.hypervolume});
  }
  for (size_t i = 0; i < sources.outcome.reference.size(); ++i) {
    const search::Metric& metric = options.problem.objectives.at(i);
    search.reference_point.push_back(
        {search::to_string(metric), search::from_minimised(metric, sources.outcome.reference[i])});
  }
  search.scaling = scaling_of(sources.outcome.scaling);
  search.racing = racing_of(options, sources.outcome.racing);
  search.learned = learned_of(sources.outcome.learned);
  return search;
}

}  // namespace

report::RunSummary build_summary(const SummarySources& sources) {
  const RunConfig& config = sources.config;
  report::RunSummary summary;
  summary.name = config.name;
  summary.seed = config.seed;
  summary.lathe_version = LATHE_VERSION;
  summary.command = config.command;
  summary.config_path = config.file.string();
  summary.config = config.yaml;
  summary.started_at = sources.folder.started_at();
  summary.finished_at = utc_now();
  const HostMachine machine = host_machine();
  summary.machine = {machine.usable_cores, machine.cpu_model, machine.memory_bytes};
  for (const StageRecord& stage : sources.folder.stages()) {
    summary.stages.push_back(
        {stage.name, stage.seconds, stage.peak_memory_bytes, stage.resumed > 0});
  }
  summary.data = data_of(sources);
  summary.space = space_of(config);
  for (const supernet::EpochRecord& epoch : sources.epochs) {
    summary.training.push_back({epoch.epoch, epoch.learning_rate, epoch.loss, epoch.top1_largest,
                                epoch.top1_smallest, epoch.images_per_s, epoch.seconds});
  }
  summary.devices = devices_of(sources);
  summary.search = search_of(sources);
  for (const ChosenNetwork& network : sources.chosen) {
    summary.front.push_back(front_network_of(network, sources));
  }
  mark_dominated(summary.front, sources);
  give_roles(summary.front, speed_device(summary));
  summary.baselines = sources.baselines.baselines;
  summary.warnings = summary_warnings(summary);
  summary.warnings.insert(summary.warnings.end(), sources.baselines.warnings.begin(),
                          sources.baselines.warnings.end());
  return summary;
}

}  // namespace lathe::cli
