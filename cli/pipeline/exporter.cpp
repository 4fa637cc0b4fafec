#include "cli/pipeline/exporter.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include "cli/pipeline/front_selection.h"
#include "core/error.h"
#include "core/file.h"
#include "network/architecture_json.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/onnx_runtime_check.h"
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

std::string significant(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

/// How the weights of an exported network come about, besides the supernet's training.
std::string recipe(const RunConfig& config) {
  if (config.accuracy) return "no weights";
  if (config.distil.epochs == 0.0) return "inherited weights";
  const DistilOptions& distil = config.distil;
  char text[192];
  std::snprintf(text, sizeof(text), "distilled for %g epochs at learning rate %g", distil.epochs,
                distil.learning_rate);
  std::string all = text;
  // What the first version of lathe knew goes unsaid, so that its results stay valid.
  if (distil.warmup_epochs > 0.0) all += ", warm-up " + significant(distil.warmup_epochs);
  const supernet::DistilOptions usual;
  const supernet::DistilOptions& loss = distil.loss;
  if (loss.alpha != usual.alpha || loss.beta != usual.beta ||
      loss.temperature != usual.temperature) {
    all += ", alpha " + significant(loss.alpha) + ", beta " + significant(loss.beta) +
           ", temperature " + significant(loss.temperature);
  }
  if (distil.teachers != DistilOptions().teachers) {
    all += ", teachers:";
    for (const std::string& teacher : distil.teachers) all += " " + teacher;
  }
  if (distil.mutual) all += ", mutual";
  for (const supernet::Hint& hint : loss.hints) {
    all += ", hint " + hint.student + "=" + hint.teacher + " " + significant(loss.hint_weight);
  }
  return all;
}

/// What a confirmation on `device` is to be: another wish needs another measurement.
std::string asked_of(const latency::DeviceConfig& device, const RunConfig& config) {
  char text[192];
  std::snprintf(text, sizeof(text), "%s, %d threads, %s, half-width %g", device.engine.c_str(),
                device.threads, latency::to_string(device.precision),
                config.exported.confirm_half_width);
  return device.plan.energy_s > 0.0 ? std::string(text) + ", energy" : text;
}

/// The folders of networks, also of those that a killed process was about to rename.
std::vector<std::filesystem::path> network_folders(const std::filesystem::path& export_folder) {
  std::error_code error;
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(export_folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("net-", 0) == 0 || name.rfind(kKeptPrefix, 0) == 0)
      folders.push_back(entry.path());
  }
  return folders;
}

size_t argmax(const float* values, size_t count) {
  return static_cast<size_t>(std::max_element(values, values + count) - values);
}

}  // namespace

std::string front_device(const search::SearchOptions& options) {
  for (const search::MetricKind kind : {search::MetricKind::Latency, search::MetricKind::Energy}) {
    for (const search::Metric& metric : options.problem.objectives) {
      if (metric.kind == kind) return metric.device;
    }
  }
  return "";
}

Exporter::Exporter(const RunConfig& config, std::filesystem::path export_folder)
    : config_(config), export_folder_(std::move(export_folder)) {}

std::map<std::string, NetworkResult> Exporter::saved() const {
  std::map<std::string, NetworkResult> results;
  for (const auto& path : network_folders(export_folder_)) {
    NetworkResult result = read_network_result(path / "result.json");
    if (result.recipe == recipe(config_)) results[result.architecture] = std::move(result);
  }
  return results;
}

std::vector<ChosenNetwork> Exporter::choose(const std::vector<search::Evaluated>& evaluated) const {
  const search::Problem& problem = config_.search.problem;
  const std::map<std::string, NetworkResult> known = saved();
  std::vector<const search::Evaluated*> hopeful;
  search::ParetoArchive front(problem.objectives.size());
  std::vector<ChosenNetwork> refuted;
  for (const search::Evaluated& each : evaluated) {
    if (!each.ok() || each.screened || problem.violation(each.metrics) > 0.0) continue;
    const auto found = known.find(each.candidate.architecture.to_string());
    if (found != known.end() && confirmed(found->second) && !holds(each.metrics, found->second)) {
      refuted.push_back({"", each});
    } else {
      front.insert(static_cast<int64_t>(hopeful.size()), problem.minimised(each.metrics));
      hopeful.push_back(&each);
    }
  }
  const std::vector<int64_t> ids = front.ids();
  std::vector<FrontPoint> points;
  for (const int64_t index : ids) {
    points.push_back(
        front_point(*hopeful[static_cast<size_t>(index)], front_device(config_.search)));
  }
  std::vector<ChosenNetwork> chosen;
  for (const size_t place : select_spread(points, static_cast<size_t>(config_.exported.networks))) {
    chosen.push_back({"", *hopeful[static_cast<size_t>(ids[place])]});
  }
  chosen.insert(chosen.end(), refuted.begin(), refuted.end());
  const auto accuracy = [](const ChosenNetwork& network) {
    return network.evaluated.accuracy ? network.evaluated.accuracy->top1 : 0.0;
  };
  std::stable_sort(chosen.begin(), chosen.end(),
                   [&](const auto& a, const auto& b) { return accuracy(a) > accuracy(b); });
  for (size_t i = 0; i < chosen.size(); ++i) chosen[i].id = numbered(i);
  return chosen;
}

std::filesystem::path Exporter::folder(const ChosenNetwork& network) const {
  return export_folder_ / network.id;
}

NetworkResult Exporter::load(const ChosenNetwork& network) const {
  NetworkResult result = read_network_result(folder(network) / "result.json");
  const std::string architecture = network.evaluated.candidate.architecture.to_string();
  if (result.architecture == architecture && result.recipe == recipe(config_)) return result;
  result = {};
  result.architecture = architecture;
  result.recipe = recipe(config_);
  return result;
}

void Exporter::arrange(const std::vector<ChosenNetwork>& chosen) const {
  // Every folder first goes to a name of its own that a killed process leaves readable for the
  // next.
  std::error_code error;
  std::map<std::string, std::filesystem::path> kept;  // by architecture
  const std::vector<std::filesystem::path> folders = network_folders(export_folder_);
  const bool in_place = std::all_of(folders.begin(), folders.end(), [&](const auto& path) {
    return std::any_of(chosen.begin(), chosen.end(), [&](const ChosenNetwork& network) {
      return folder(network) == path && read_network_result(path / "result.json").architecture ==
                                            network.evaluated.candidate.architecture.to_string();
    });
  });
  if (in_place) return;
  for (const auto& path : folders) {
    const std::string architecture = read_network_result(path / "result.json").architecture;
    const auto target = export_folder_ / (kKeptPrefix + sha256_hex(architecture).substr(0, 16));
    if (path != target) std::filesystem::rename(path, target, error);
    kept[architecture] = target;
  }
  for (const ChosenNetwork& network : chosen) {
    const auto known = kept.find(network.evaluated.candidate.architecture.to_string());
    if (known == kept.end()) continue;
    std::filesystem::rename(known->second, folder(network), error);
    kept.erase(known);
  }
  for (const auto& [architecture, path] : kept) std::filesystem::remove_all(path, error);
}

bool Exporter::written(const ChosenNetwork& network) const {
  return load(network).validation.has_value();
}

bool Exporter::confirmed(const ChosenNetwork& network) const { return confirmed(load(network)); }

bool Exporter::confirmed(const NetworkResult& result) const {
  return std::all_of(config_.devices.begin(), config_.devices.end(), [&](const auto& device) {
    const auto found = result.confirmed.find(device.name);
    return found != result.confirmed.end() && found->second.conditions == asked_of(device, config_);
  });
}

bool Exporter::holds(const ChosenNetwork& network) const {
  return holds(network.evaluated.metrics, load(network));
}

bool Exporter::holds(const search::Metrics& searched, const NetworkResult& result) const {
  search::Metrics metrics = searched;
  for (const auto& [device, confirmation] : result.confirmed) {
    search::set_measured(metrics, device, confirmation.estimate);
  }
  if (result.validation) {
    metrics[{search::MetricKind::Accuracy, ""}] = search::accuracy_value(*result.validation);
  }
  return config_.search.problem.violation(metrics) == 0.0;
}

bool Exporter::tested(const ChosenNetwork& network) const {
  const NetworkResult result = load(network);
  const bool parity = result.parity && result.parity->images == config_.exported.check_images;
  return result.test.has_value() && (parity || !config_.exported.check);
}

void Exporter::read_teachers() {
  if (config_.distil.epochs == 0.0) return;
  const network::Network largest = config_.space->lower(config_.space->largest());
  for (const std::string& path : config_.distil.teachers) {
    if (path == "largest") continue;
    network::Model model = network::import_onnx(read_file(path));
    if (model.network.input_shape()[1] != largest.input_shape()[1] ||
        model.network.output_shape() != largest.output_shape()) {
      throw ConfigError(path + ": input " + network::to_string(model.network.input_shape()) +
                        ", output " + network::to_string(model.network.output_shape()) +
                        ", expected a teacher of the space's channels and classes: " +
                        network::to_string(largest.input_shape()) + " and " +
                        network::to_string(largest.output_shape()));
    }
    teachers_[path] = std::move(model);
  }
}

/// Not in the network's own folder, which another network may get while this one is not written.
std::filesystem::path Exporter::checkpoint(const ChosenNetwork& network) const {
  const std::string what =
      network.evaluated.candidate.architecture.to_string() + "\n" + recipe(config_);
  return export_folder_.parent_path() / "supernet" /
         ("distil-" + sha256_hex(what).substr(0, 16) + ".pt");
}

std::optional<supernet::ExtractedModel> Exporter::tuned(const ChosenNetwork& network,
                                                        const supernet::ExtractedModel& extracted,
                                                        supernet::Supernet& supernet,
                                                        Progress& progress,
                                                        const std::function<bool()>& stop) {
  const DistilOptions& distil = config_.distil;
  network::Model largest;
  supernet::Lesson lesson;
  lesson.students = {extracted.model};
  for (const std::string& path : distil.teachers) {
    if (path == "largest") {
      largest = supernet.extract(config_.space->lower(config_.space->largest())).model;
    }
    const network::Model& teacher = path == "largest" ? largest : teachers_.at(path);
    if (distil.mutual) {
      lesson.students.push_back(teacher);
    } else {
      lesson.teachers.push_back(&teacher);
    }
  }
  lesson.options.epochs = distil.epochs;
  lesson.options.learning_rate = distil.learning_rate;
  lesson.options.warmup_epochs = distil.warmup_epochs;
  lesson.options.seed = config_.seed;
  lesson.options.distil = distil.loss;
  lesson.options.checkpoint = checkpoint(network);
  lesson.options.title = "distil " + network.id;
  std::vector<supernet::ExtractedModel> trained = supernet.train_alone(lesson, progress, stop);
  if (trained.empty()) return std::nullopt;
  return std::move(trained.front());
}

bool Exporter::write_model(const ChosenNetwork& network, supernet::Supernet& supernet,
                           Progress& progress, const std::function<bool()>& stop) {
  NetworkResult result = load(network);
  if (result.validation) return true;
  const network::Network subnet = config_.space->lower(network.evaluated.candidate.architecture);
  supernet::ExtractedModel extracted = supernet.extract(subnet);
  if (config_.distil.epochs > 0) {
    auto better = tuned(network, extracted, supernet, progress, stop);
    if (!better) return false;
    extracted = std::move(*better);
  }
  const network::Model deployed = network::deploy(extracted.model);
  network::OnnxExportOptions options;
  options.graph_name = config_.name;
  options.dynamic_batch = true;
  options.metadata = {{"lathe.space", config_.space->name()},
                      {"lathe.architecture", result.architecture},
                      {"lathe.dataset", supernet.data().dataset}};
  const std::string onnx = network::to_onnx(deployed, options);
  network::check_onnx(onnx);
  write_file_atomically(folder(network) / "model.onnx", onnx);
  write_file_atomically(folder(network) / "architecture.json", network::to_json(deployed.network));
  result.validation = extracted.validation;
  write_network_result(folder(network) / "result.json", result);
  std::error_code error;
  std::filesystem::remove(checkpoint(network), error);
  return true;
}

void Exporter::confirm(const ChosenNetwork& network, Evaluators& evaluators) {
  NetworkResult result = load(network);
  const std::string onnx =
      config_.accuracy ? std::string() : read_file(folder(network) / "model.onnx");
  for (const latency::DeviceConfig& device : config_.devices) {
    const std::string asked = asked_of(device, config_);
    const auto found = result.confirmed.find(device.name);
    if (found != result.confirmed.end() && found->second.conditions == asked) continue;
    latency::MeasurementPlan plan = device.plan;
    plan.target_half_width = config_.exported.confirm_half_width;
    plan.budget_s = config_.exported.confirm_budget_s;
    // The exported file holds floats, which int8 does not run: there the network is measured as it
    // was in the search, without weights.
    const bool runs_file = device.precision != latency::Precision::Int8;
    const auto measured =
        evaluators.measure_again(device.name, network.evaluated.candidate.architecture,
                                 runs_file ? onnx : std::string(), plan);
    if (!measured.ok()) {
      throw DeviceError("device " + device.name + ": confirming " + network.id + ": " +
                        to_string(measured.failure().kind) + ": " + measured.failure().message);
    }
    result.confirmed[device.name] = {asked, *measured};
    write_network_result(folder(network) / "result.json", result);
  }
}

void Exporter::test(const ChosenNetwork& network, supernet::Supernet& supernet,
                    supernet::TestSplit& test_split) {
  NetworkResult result = load(network);
  const std::string onnx = read_file(folder(network) / "model.onnx");
  const network::Model model = network::import_onnx(onnx);
  if (!result.test) {
    result.test = test_split.accuracy(model);
    write_network_result(folder(network) / "result.json", result);
  }
  if (tested(network)) return;
  const int64_t resolution = model.network.input_shape().at(2);
  const network::Tensor images =
      test_split.images(config_.exported.check_images, resolution).images;
  result.parity = check_parity(network.id, onnx, supernet.logits(model, images), images);
  write_network_result(folder(network) / "result.json", result);
}

ParityResult check_parity(const std::string& name, const std::string& onnx,
                          const network::Tensor& torch_logits, const network::Tensor& images) {
  const network::Tensor other = network::run_with_onnx_runtime(onnx, images);
  if (other.shape != torch_logits.shape) {
    throw DataError(name + ": ONNX Runtime's output is " + network::to_string(other.shape) +
                    ", expected LibTorch's " + network::to_string(torch_logits.shape));
  }
  ParityResult parity;
  parity.runtime = "ONNX Runtime";
  parity.images = images.shape.at(0);
  const auto classes = static_cast<size_t>(torch_logits.shape.at(1));
  int64_t agreed = 0;
  for (int64_t image = 0; image < parity.images; ++image) {
    const float* a = torch_logits.values.data() + static_cast<size_t>(image) * classes;
    const float* b = other.values.data() + static_cast<size_t>(image) * classes;
    for (size_t c = 0; c < classes; ++c) {
      const double error = std::abs(static_cast<double>(a[c]) - static_cast<double>(b[c]));
      if (std::isnan(error) || error > parity.max_abs_error) parity.max_abs_error = error;
    }
    agreed += argmax(a, classes) == argmax(b, classes) ? 1 : 0;
  }
  parity.top1_agreement = static_cast<double>(agreed) / static_cast<double>(parity.images);
  if (!(parity.max_abs_error <= kParityTolerance) || agreed != parity.images) {
    throw DataError(
        name + ": " + parity.runtime + " and LibTorch disagree: largest difference of logits " +
        std::to_string(parity.max_abs_error) + ", expected at most " +
        std::to_string(kParityTolerance) + "; top-1 agrees on " + std::to_string(agreed) + " of " +
        std::to_string(parity.images) + " images, expected all");
  }
  return parity;
}

}  // namespace lathe::cli
