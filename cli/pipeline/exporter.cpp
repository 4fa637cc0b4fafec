#include "cli/pipeline/exporter.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "cli/pipeline/front_selection.h"
#include "cli/pipeline/parity.h"
#include "cli/pipeline/preprocessing.h"
#include "core/error.h"
#include "core/file.h"
#include "network/architecture_json.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/passes.h"
#include "search/archive/pareto_archive.h"

namespace lathe::cli {
namespace {

std::string numbered(size_t index) {
  char id[32];
  std::snprintf(id, sizeof(id), "net-%02zu", index + 1);
  return id;
}

FrontPoint front_point(const search::Evaluated& evaluated, const std::string& device) {
  FrontPoint point;
  if (evaluated.accuracy) point.accuracy = evaluated.accuracy->top1;
  const search::Metric order = device.empty() ? search::Metric{search::MetricKind::Macs, ""}
                                              : search::Metric{search::MetricKind::Latency, device};
  point.latency = evaluated.metrics.at(order).value;
  return point;
}

constexpr const char* kKeptPrefix = ".kept-";
constexpr const char* kInt8Suffix = "-int8";
constexpr const char* kModelFile = "model.onnx";
constexpr const char* kTrainedFile = "trained.onnx";
constexpr const char* kUnprunedFile = "unpruned.onnx";

/// What a confirmation on `device` is to be: another wish needs another measurement. (What the
/// first version of lathe knew comes first, so that its results stay valid.)
std::string asked_of(const latency::DeviceConfig& device, latency::Precision precision,
                     const RunConfig& config) {
  char text[192];
  std::snprintf(text, sizeof(text), "%s, %d threads, %s, half-width %g", device.engine.c_str(),
                device.threads, latency::to_string(precision), config.exported.confirm_half_width);
  std::string asked = text;
  if (device.plan.energy_s > 0.0) asked += ", energy";
  if (device.plan.sustain_s > 0.0) asked += ", sustained";
  return asked;
}

/// In which precision a device runs a delivered network: an int8 file in int8, others as the search
/// measured them; but in fp32 where the search measured in int8 and there is a file for that.
latency::Precision run_precision(const latency::DeviceConfig& device, latency::Precision delivered,
                                 const RunConfig& config) {
  if (delivered == latency::Precision::Int8) return delivered;
  const bool has_int8 = config.quantize.enabled && device.precision == latency::Precision::Int8;
  return has_int8 ? latency::Precision::Fp32 : device.precision;
}

bool is_aside(const std::filesystem::path& folder) {
  return folder.filename().string().rfind(kKeptPrefix, 0) == 0;
}

/// The folders of networks, also of those that were put aside.
std::vector<std::filesystem::path> network_folders(const std::filesystem::path& export_folder) {
  std::error_code error;
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(export_folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("net-", 0) == 0 || is_aside(entry.path())) folders.push_back(entry.path());
  }
  return folders;
}

std::string without_weights(const std::string& onnx) {
  return network::to_onnx_without_weights(network::import_onnx(onnx).network, 1);
}

}  // namespace

Exporter::Exporter(const RunConfig& config, std::filesystem::path export_folder)
    : config_(config),
      export_folder_(std::move(export_folder)),
      compressor_(config, export_folder_.parent_path() / "supernet") {}

Exporter::Saved Exporter::saved() const {
  Saved results;
  for (const auto& path : network_folders(export_folder_)) {
    NetworkResult result = read_network_result(path / "result.json");
    if (result.recipe != compressor_.recipe(result.precision)) continue;
    const auto key = std::make_pair(result.architecture, result.precision);
    results[key] = std::move(result);
  }
  return results;
}

bool Exporter::refuted(const search::Evaluated& evaluated, const Saved& known) const {
  const std::vector<latency::Precision> precisions = compressor_.precisions();
  return std::all_of(precisions.begin(), precisions.end(), [&](const auto precision) {
    const auto found = known.find({evaluated.candidate.architecture.to_string(), precision});
    return found != known.end() && confirmed(found->second) &&
           config_.search.problem.violation(metrics(evaluated.metrics, found->second)) > 0.0;
  });
}

std::vector<ChosenNetwork> Exporter::choose(const std::vector<search::Evaluated>& evaluated) const {
  const search::Problem& problem = config_.search.problem;
  const Saved known = saved();
  std::vector<const search::Evaluated*> hopeful;
  search::ParetoArchive front(problem.objectives.size());
  std::vector<ChosenNetwork> fallen;
  for (const search::Evaluated& each : evaluated) {
    if (!each.ok() || each.screened || problem.violation(each.metrics) > 0.0) continue;
    if (refuted(each, known)) {
      fallen.push_back({"", each});
    } else {
      front.insert(static_cast<int64_t>(hopeful.size()), problem.minimised(each.metrics));
      hopeful.push_back(&each);
    }
  }
  const std::vector<int64_t> ids = front.ids();
  const std::string device = search::speed_device(problem.objectives);
  std::vector<FrontPoint> points;
  for (const int64_t index : ids) {
    points.push_back(front_point(*hopeful[static_cast<size_t>(index)], device));
  }
  std::vector<ChosenNetwork> chosen;
  for (const size_t place : select_spread(points, static_cast<size_t>(config_.exported.networks))) {
    chosen.push_back({"", *hopeful[static_cast<size_t>(ids[place])]});
  }
  chosen.insert(chosen.end(), fallen.begin(), fallen.end());
  const auto accuracy = [](const ChosenNetwork& network) {
    return network.evaluated.accuracy ? network.evaluated.accuracy->top1 : 0.0;
  };
  std::stable_sort(chosen.begin(), chosen.end(),
                   [&](const auto& a, const auto& b) { return accuracy(a) > accuracy(b); });
  std::vector<ChosenNetwork> delivered;
  for (size_t i = 0; i < chosen.size(); ++i) {
    for (const latency::Precision precision : compressor_.precisions()) {
      const bool is_int8 = precision == latency::Precision::Int8;
      delivered.push_back(
          {numbered(i) + (is_int8 ? kInt8Suffix : ""), chosen[i].evaluated, precision});
    }
  }
  return delivered;
}

std::filesystem::path Exporter::folder(const ChosenNetwork& network) const {
  return export_folder_ / network.id;
}

NetworkResult Exporter::load(const ChosenNetwork& network) const {
  NetworkResult result = read_network_result(folder(network) / "result.json");
  const std::string architecture = network.evaluated.candidate.architecture.to_string();
  const std::string recipe = compressor_.recipe(network.precision);
  if (result.architecture == architecture && result.precision == network.precision &&
      result.recipe == recipe) {
    return result;
  }
  result = {};
  result.architecture = architecture;
  result.precision = network.precision;
  result.recipe = recipe;
  return result;
}

void Exporter::arrange(const std::vector<ChosenNetwork>& chosen) const {
  using Key = std::pair<std::string, latency::Precision>;
  const auto key_in = [](const std::filesystem::path& path) {
    const NetworkResult result = read_network_result(path / "result.json");
    return Key(result.architecture, result.precision);
  };
  const auto key_of = [](const ChosenNetwork& network) {
    return Key(network.evaluated.candidate.architecture.to_string(), network.precision);
  };
  // Every folder first goes aside, under a name of its own, which a killed process leaves readable
  // for the next.
  std::error_code error;
  std::map<Key, std::filesystem::path> kept;
  const std::vector<std::filesystem::path> folders = network_folders(export_folder_);
  const bool in_place = std::all_of(folders.begin(), folders.end(), [&](const auto& path) {
    const Key key = key_in(path);
    const auto is_it = [&](const ChosenNetwork& network) { return key_of(network) == key; };
    const auto found = std::find_if(chosen.begin(), chosen.end(), is_it);
    return found == chosen.end() ? is_aside(path) : folder(*found) == path;
  });
  if (in_place) return;
  for (const auto& path : folders) {
    const Key key = key_in(path);
    const std::string what = key.first + latency::to_string(key.second);
    const auto target = export_folder_ / (kKeptPrefix + sha256_hex(what).substr(0, 16));
    if (path != target) std::filesystem::rename(path, target, error);
    kept[key] = target;
  }
  for (const ChosenNetwork& network : chosen) {
    const auto known = kept.find(key_of(network));
    if (known == kept.end()) continue;
    std::filesystem::rename(known->second, folder(network), error);
  }
}

void Exporter::remove_unchosen() const {
  std::error_code error;
  for (const auto& path : network_folders(export_folder_)) {
    if (is_aside(path)) std::filesystem::remove_all(path, error);
  }
}

bool Exporter::written(const ChosenNetwork& network) const {
  if (!load(network).validation) return false;
  // Folders of earlier versions lack it.
  return network.precision == latency::Precision::Int8 || compressor_.precisions().size() == 1 ||
         std::filesystem::exists(folder(network) / kTrainedFile);
}

bool Exporter::confirmed(const ChosenNetwork& network) const { return confirmed(load(network)); }

void Exporter::set_boards(const std::vector<latency::AgentDescription>& agents) {
  boards_.clear();
  for (const latency::AgentDescription& agent : agents)
    boards_[agent.device].insert(agent.fingerprint);
}

bool Exporter::is_as_asked(const NetworkResult::Confirmation& confirmation,
                           const latency::DeviceConfig& device,
                           latency::Precision precision) const {
  if (confirmation.conditions != asked_of(device, precision, config_)) return false;
  const latency::LatencyEstimate& estimate = confirmation.estimate;
  const bool may_end_narrower = estimate.verdict == latency::Verdict::Unsteady &&
                                confirmation.budget_s > 0.0 &&
                                confirmation.budget_s < config_.exported.confirm_budget_s;
  const auto boards = boards_.find(device.name);
  const bool is_of_these_boards = boards == boards_.end() ||
                                  estimate.conditions.device_fingerprint.empty() ||
                                  boards->second.count(estimate.conditions.device_fingerprint) != 0;
  return is_of_these_boards && !may_end_narrower;
}

bool Exporter::confirmed(const NetworkResult& result) const {
  const auto on_all = [&](const std::map<std::string, NetworkResult::Confirmation>& confirmed) {
    return std::all_of(config_.devices.begin(), config_.devices.end(), [&](const auto& device) {
      const auto found = confirmed.find(device.name);
      const auto precision = run_precision(device, result.precision, config_);
      return found != confirmed.end() && is_as_asked(found->second, device, precision);
    });
  };
  return on_all(result.confirmed) && (!result.was_pruned || on_all(result.unpruned));
}

search::Metrics Exporter::metrics(const search::Metrics& searched,
                                  const NetworkResult& result) const {
  search::Metrics metrics = searched;
  for (const auto& [device, confirmation] : result.confirmed) {
    search::set_measured(metrics, device, confirmation.estimate);
  }
  if (result.validation) {
    metrics[{search::MetricKind::Accuracy, ""}] = search::accuracy_value(*result.validation);
  }
  if (!result.steps.empty()) {
    const network::Cost& cost = result.steps.back().cost;
    for (const auto& [kind, count] :
         {std::pair(search::MetricKind::Macs, cost.macs),
          std::pair(search::MetricKind::Params, cost.params),
          std::pair(search::MetricKind::PeakMemory, cost.peak_activation_bytes),
          std::pair(search::MetricKind::ModelSize, cost.model_bytes)}) {
      const auto value = static_cast<double>(count);
      metrics[{kind, ""}] = {value, value, value};
    }
  }
  return metrics;
}

ChosenNetwork Exporter::in_float(const ChosenNetwork& network) const {
  ChosenNetwork trained = network;
  if (network.precision == latency::Precision::Fp32) return trained;
  trained.precision = latency::Precision::Fp32;
  trained.id = network.id.substr(0, network.id.size() - std::string(kInt8Suffix).size());
  return trained;
}

search::Metrics Exporter::metrics(const ChosenNetwork& network) const {
  return metrics(network.evaluated.metrics, load(network));
}

bool Exporter::holds(const ChosenNetwork& network) const {
  return config_.search.problem.violation(metrics(network)) == 0.0;
}

bool Exporter::tested(const ChosenNetwork& network) const {
  const NetworkResult result = load(network);
  if (!result.test) return false;
  const int64_t asked = std::min(config_.exported.check_images, result.test->images);
  return !config_.exported.check || (result.parity && result.parity->images == asked);
}

void Exporter::write_files(const ChosenNetwork& network, const network::Model& deployed,
                           const supernet::DataSummary& data) const {
  network::OnnxExportOptions options;
  options.graph_name = config_.name;
  options.dynamic_batch = true;
  options.metadata = {{"lathe.space", config_.space->name()},
                      {"lathe.architecture", network.evaluated.candidate.architecture.to_string()},
                      {"lathe.dataset", data.dataset}};
  const std::string onnx = network::to_onnx(deployed, options);
  network::check_onnx(onnx);
  write_file_atomically(folder(network) / kModelFile, onnx);
  write_file_atomically(folder(network) / "architecture.json", network::to_json(deployed.network));
  write_file_atomically(folder(network) / "preprocessing.json",
                        preprocessing_json(data, deployed.network.input_shape()));
}

bool Exporter::write_float(const ChosenNetwork& network, NetworkResult& result,
                           supernet::Supernet& supernet, Evaluators& evaluators, Progress& progress,
                           const std::function<bool()>& stop) {
  const search::Architecture& architecture = network.evaluated.candidate.architecture;
  auto made =
      compressor_.make_float(architecture, network.id, supernet, evaluators, progress, stop);
  if (!made) return false;
  write_files(network, network::deploy(made->model), supernet.data());
  write_file_atomically(folder(network) / kTrainedFile, network::to_onnx(made->model));
  result.was_pruned = made->unpruned.has_value();
  if (made->unpruned) {
    write_file_atomically(folder(network) / kUnprunedFile,
                          network::to_onnx(network::deploy(*made->unpruned)));
  }
  result.steps = std::move(made->steps);
  result.validation = made->validation;
  return true;
}

bool Exporter::write_int8(const ChosenNetwork& network, NetworkResult& result,
                          supernet::Supernet& supernet, Progress& progress,
                          const std::function<bool()>& stop) {
  const ChosenNetwork trained = in_float(network);
  const network::Model model = network::read_onnx_file(folder(trained) / kTrainedFile);
  auto made = compressor_.make_int8(network.evaluated.candidate.architecture, model, supernet,
                                    progress, stop);
  if (!made) return false;
  write_files(network, made->model, supernet.data());
  result.steps = load(trained).steps;
  result.steps.insert(result.steps.end(), made->steps.begin(), made->steps.end());
  result.validation = made->validation;
  return true;
}

bool Exporter::write_model(const ChosenNetwork& network, supernet::Supernet& supernet,
                           Evaluators& evaluators, Progress& progress,
                           const std::function<bool()>& stop) {
  if (written(network)) {
    compressor_.forget(network.evaluated.candidate.architecture, network.precision);
    return true;
  }
  NetworkResult result = load(network);
  result.steps.clear();
  result.validation.reset();
  // First, so that no file of another recipe is ever taken for this one's.
  write_network_result(folder(network) / "result.json", result);
  const bool done = network.precision == latency::Precision::Int8
                        ? write_int8(network, result, supernet, progress, stop)
                        : write_float(network, result, supernet, evaluators, progress, stop);
  if (!done) return false;
  write_network_result(folder(network) / "result.json", result);
  compressor_.forget(network.evaluated.candidate.architecture, network.precision);
  return true;
}

void Exporter::confirm_file(const ChosenNetwork& network, const std::string& file,
                            NetworkResult& result,
                            std::map<std::string, NetworkResult::Confirmation>& confirmed,
                            Evaluators& evaluators) const {
  const std::string onnx = config_.accuracy ? std::string() : read_file(folder(network) / file);
  for (const latency::DeviceConfig& device : config_.devices) {
    const latency::Precision precision = run_precision(device, network.precision, config_);
    const auto found = confirmed.find(device.name);
    if (found != confirmed.end() && is_as_asked(found->second, device, precision)) continue;
    latency::MeasurementPlan plan = device.plan;
    plan.target_half_width = config_.exported.confirm_half_width;
    plan.budget_s = config_.exported.confirm_budget_s;
    // int8 does not run a file of floats: there the network is measured as those of the search
    // were, without weights.
    const bool runs_file = precision != latency::Precision::Int8 || precision == network.precision;
    const auto measured = evaluators.measure_again(
        device.name, network.evaluated.candidate.architecture,
        runs_file || onnx.empty() ? onnx : without_weights(onnx), plan, precision);
    if (!measured.ok()) {
      throw DeviceError("device " + device.name + ": confirming " + network.id + ": " +
                        to_string(measured.failure().kind) + ": " + measured.failure().message);
    }
    confirmed[device.name] = {asked_of(device, precision, config_),
                              config_.exported.confirm_budget_s, *measured};
    write_network_result(folder(network) / "result.json", result);
  }
}

void Exporter::confirm(const ChosenNetwork& network, Evaluators& evaluators) {
  NetworkResult result = load(network);
  confirm_file(network, kModelFile, result, result.confirmed, evaluators);
  if (result.was_pruned && network.precision == latency::Precision::Fp32) {
    confirm_file(network, kUnprunedFile, result, result.unpruned, evaluators);
  }
}

void Exporter::test(const ChosenNetwork& network, supernet::Supernet& supernet,
                    Evaluators& evaluators, supernet::TestSplit& test_split) {
  NetworkResult result = load(network);
  const std::string onnx = read_file(folder(network) / kModelFile);
  const int64_t check_images = config_.exported.check ? config_.exported.check_images : 0;
  if (network.precision == latency::Precision::Int8) {
    const latency::DeviceConfig board = config_.boards().front();
    const EngineTest tested = test_on_engine(
        network.id, onnx, board.engine + " on " + board.name,
        [&](const network::Tensor& images) { return evaluators.run(board.name, onnx, images); },
        test_split, check_images);
    result.test = tested.accuracy;
    result.parity = tested.parity;
    return write_network_result(folder(network) / "result.json", result);
  }
  const network::Model model = network::import_onnx(onnx);
  if (!result.test) {
    result.test = test_split.accuracy(model);
    write_network_result(folder(network) / "result.json", result);
  }
  if (tested(network)) return;
  const int64_t resolution = model.network.input_shape().at(2);
  const network::Tensor images = test_split.images(0, check_images, resolution).images;
  result.parity = check_parity(network.id, onnx, network.precision, "LibTorch",
                               supernet.logits(model, images), images);
  write_network_result(folder(network) / "result.json", result);
}

}  // namespace lathe::cli
