#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/interrupt.h"
#include "cli/pipeline/parity.h"
#include "cli/pipeline/preprocessing.h"
#include "cli/run_section.h"
#include "cli/text_table.h"
#include "core/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "latency/fleet/fleet.h"
#include "network/cost.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/passes.h"
#include "search/space/search_space.h"
#include "supernet/compress/prune_schedule.h"
#include "supernet/compress/prune_sensitivity.h"
#include "supernet/supernet.h"

namespace lathe::cli {
namespace {

using Json = nlohmann::ordered_json;

struct CompressConfig {
  supernet::SupernetOptions supernet;
  supernet::PruneOptions prune;
  supernet::QuantizeConfig quantize;
  std::vector<latency::DeviceConfig> devices;
};

CompressConfig read_config(const CompressArguments& arguments) {
  std::vector<std::string> overrides = arguments.overrides;
  if (!arguments.data.empty()) overrides.push_back("data.dataset=" + arguments.data);
  if (!arguments.prune.empty()) overrides.push_back("compress.prune.target=" + arguments.prune);
  ConfigDocument document = arguments.config.empty()
                                ? ConfigDocument::read_text("{}", "lathe compress", overrides)
                                : ConfigDocument::read_file(arguments.config, overrides);
  ConfigSection root = document.root();
  CompressConfig config;
  const std::filesystem::path file =
      arguments.config.empty() ? std::filesystem::path("compress.yaml") : arguments.config;
  const RunSection run = read_run_section(root.section("run"), file, arguments.output);
  config.supernet.seed = run.seed;
  config.supernet.threads = run.threads;
  config.supernet.data = supernet::read_data_options(root.section("data"));
  supernet::read_supernet_options(root.section("supernet"), config.supernet);
  ConfigSection compress = root.section("compress");
  config.prune = supernet::read_prune_options(compress.section("prune"));
  config.quantize = supernet::read_quantize_config(compress);
  config.quantize.enabled = config.quantize.enabled || arguments.int8;
  compress.finish();
  config.devices = latency::read_devices(root.sections("devices"));
  root.finish();
  document.throw_if_faults();
  if (!config.prune.enabled() && !config.quantize.enabled && !arguments.sensitivity) {
    throw ConfigError(
        "lathe compress: nothing to do: --prune \"macs x0.5\", --int8, --sensitivity, or "
        "`compress` in a config");
  }
  return config;
}

/// The smallest space of the model's input and classes: images, training and evaluation come with
/// a supernet, whose own weights nothing here looks at.
std::unique_ptr<search::SearchSpace> space_for(const network::Network& network) {
  const network::Shape& input = network.input_shape();
  return search::read_search_space_text(
      "input: {channels: " + std::to_string(input.at(1)) +
          ", resolution: " + std::to_string(input.at(2)) +
          "}\nclasses: " + std::to_string(network.output_shape().at(1)) +
          "\nstem: {width: 8}\nstages: [{block: conv, width: 8}]\n",
      "lathe compress");
}

network::Model read_classifier(const std::filesystem::path& file) {
  network::Model model = network::read_onnx_file(file);
  const network::Shape& input = model.network.input_shape();
  const network::Shape& output = model.network.output_shape();
  if (model.quantization) {
    throw DataError(file.string() + ": is quantised already, expected a float network");
  }
  if (output.size() != 2 || input.at(2) != input.at(3)) {
    throw DataError(file.string() + ": takes " + network::to_string(input) + " and gives " +
                    network::to_string(output) + ", expected square images and [1, classes]");
  }
  return model;
}

/// One row of the table.
struct Stage {
  std::string name;
  std::string file;  ///< in the output folder; empty: the file that was given
  network::Model deployed;
  search::AccuracyEstimate validation;
  std::optional<search::AccuracyEstimate> test;
  std::optional<ParityResult> parity;
  int64_t bytes = 0;
  std::vector<latency::LatencyEstimate> latencies;  ///< one a device
};

class Compression {
 public:
  Compression(const CompressArguments& arguments, const CompressConfig& config)
      : arguments_(arguments),
        config_(config),
        fleet_(config.devices, nullptr, "lathe compress"),
        progress_(terminal_progress()) {}

  /// Returns false if the user stopped it.
  bool run() {
    const network::Model model = read_classifier(arguments_.model);
    space_ = space_for(model.network);
    supernet_ = supernet::load_supernet_module().create(*space_, config_.supernet, work());
    const search::AccuracyEstimate given = supernet_->accuracy(model);
    const auto classes = static_cast<double>(model.network.output_shape().at(1));
    if (given.top1 < 1.5 / classes) warn_of_chance(given.top1);
    // Batch norms are those of the calibration split from here on.
    const supernet::ExtractedModel start = supernet_->calibrate(model);
    if (arguments_.sensitivity) {
      write_sensitivity(start);
      return true;
    }
    add("given", "", network::deploy(model), given);
    network::Model pruned = start.model;
    if (config_.prune.enabled() && !prune(pruned)) return false;
    if (config_.quantize.enabled && !quantize(pruned)) return false;
    for (Stage& stage : stages_) test(stage);
    write();
    return true;
  }

 private:
  /// Of what is to be continued after a kill; the table of layers leaves it alone.
  std::filesystem::path work() const {
    return arguments_.output / (arguments_.sensitivity ? "sensitivity-work" : "work");
  }

  void warn_of_chance(double top1) const {
    std::fprintf(stderr,
                 "lathe: %s as it came has an accuracy of %.4f, which is chance: are its classes "
                 "those of the data set, in their order, and was it trained on images whose "
                 "channels have mean 0 and deviation 1?\n",
                 arguments_.model.c_str(), top1);
  }

  /// Tables of the layers, each pruned or rounded alone, on the screen and as sensitivity.json.
  void write_sensitivity(const supernet::ExtractedModel& given) {
    const std::vector<double> shares = {0.25, 0.5, 0.75};
    supernet::Supernet::ChannelScoreOptions scoring;
    scoring.criterion = config_.prune.criterion;
    scoring.images = config_.prune.images;
    scoring.seed = config_.supernet.seed;
    const auto groups =
        supernet::prune_sensitivity(*supernet_, given.model, scoring, shares, *progress_);
    supernet::QuantizeOptions in_int8 = config_.quantize.options;
    in_int8.training.epochs = 0;
    const supernet::QuantizationReport rounded =
        supernet_->quantize(given.model, nullptr, in_int8, *progress_).report;
    Json json = {{"validation_top1", given.validation.top1},
                 {"int8_top1", rounded.calibrated.top1},
                 {"criterion", network::to_string(scoring.criterion)}};
    TextTable pruned({"channels of", "count", "-25 %", "-50 %", "-75 %", "MACs at -50 %"});
    for (const supernet::PruneSensitivity& group : groups) {
      std::vector<std::string> cells = {group.group, std::to_string(group.channels)};
      Json row = {{"layer", group.group}, {"channels", group.channels}};
      for (const auto& point : group.points) {
        cells.push_back(points(-point.drop));
        row["points"].push_back({{"share", point.share},
                                 {"removed", point.removed},
                                 {"macs", point.macs},
                                 {"top1_drop", point.drop}});
      }
      cells.push_back(format_count(static_cast<double>(group.points.at(1).macs)));
      pruned.add(std::move(cells));
      json["prune"].push_back(std::move(row));
    }
    TextTable int8({"layer", "operator", "weights", "dB"});
    for (const supernet::LayerSensitivity& layer : rounded.layers) {
      char text[32];
      std::snprintf(text, sizeof text, "%.1f", layer.sqnr_db);
      int8.add({layer.node, layer.op, format_count(static_cast<double>(layer.weights)), text});
      json["int8"].push_back({{"layer", layer.node},
                              {"operator", layer.op},
                              {"weights", layer.weights},
                              {"sqnr_db", layer.sqnr_db}});
    }
    write_file_atomically(arguments_.output / "sensitivity.json", json.dump(1) + "\n");
    std::error_code error;
    std::filesystem::remove_all(work(), error);
    std::printf(
        "%s has %s top-1 on the validation split.\n\n"
        "Pruned alone by %s, without fine-tuning, top-1 changes by so many points:\n%s\n"
        "In int8 alone; signal to rounding noise of the logits, the lower the worse. "
        "All layers in int8: %s points.\n%s\n%s\n",
        arguments_.model.filename().c_str(), digits(given.validation.top1).c_str(),
        network::to_string(scoring.criterion), pruned.text().c_str(),
        points(rounded.calibrated.top1 - given.validation.top1).c_str(), int8.text().c_str(),
        (arguments_.output / "sensitivity.json").c_str());
  }

  bool prune(network::Model& model) {
    search::LatencyEvaluator* latency = nullptr;
    const auto& target = config_.prune.target;
    if (target && target->metric.kind == search::MetricKind::Latency) {
      latency = &fleet_.evaluator(target->metric.device);
    }
    supernet::PruneSchedule schedule(*supernet_, config_.prune, latency, config_.supernet.seed);
    const supernet::PruneOutcome outcome =
        schedule.run(model, &model, work() / "prune", *progress_, [] { return interrupted(); });
    if (outcome.end == supernet::PruneEnd::Stopped) return false;
    model = outcome.pruned.model;
    add("pruned", "model.onnx", network::deploy(model), outcome.pruned.validation);
    return true;
  }

  bool quantize(const network::Model& model) {
    supernet::QuantizeOptions options = config_.quantize.options;
    options.training.seed = config_.supernet.seed;
    options.training.folder = work() / "quantize";
    auto quantized =
        supernet_->quantize(model, &model, options, *progress_, [] { return interrupted(); });
    if (!quantized) return false;
    add(quantized->report.is_trained ? "int8, trained" : "int8", "model-int8.onnx",
        std::move(quantized->model), quantized->report.after);
    return true;
  }

  void add(const std::string& name, const std::string& file, network::Model deployed,
           const search::AccuracyEstimate& validation) {
    network::OnnxExportOptions options;
    options.dynamic_batch = true;
    const std::string onnx = network::to_onnx(deployed, options);
    network::check_onnx(onnx);
    if (!file.empty()) write_file_atomically(arguments_.output / file, onnx);
    Stage stage{name, file, std::move(deployed), validation, {}, {}, {}, {}};
    stage.bytes = static_cast<int64_t>(onnx.size());
    for (const latency::DeviceConfig& device : config_.devices) {
      const bool in_floats = device.precision != latency::Precision::Int8;
      const auto precision = stage.deployed.quantization ? latency::Precision::Int8
                             : in_floats                 ? device.precision
                                                         : latency::Precision::Fp32;
      auto measured = fleet_.measure_model(device.name, onnx, device.plan, precision);
      if (!measured.ok()) {
        throw DeviceError("device " + device.name + ": measuring the " + name + " network: " +
                          to_string(measured.failure().kind) + ": " + measured.failure().message);
      }
      stage.latencies.push_back(std::move(measured).value());
    }
    stages_.push_back(std::move(stage));
  }

  /// Opens the test files when everything else is decided.
  void test(Stage& stage) {
    constexpr int64_t kCheckImages = 1000;
    if (!test_split_) {
      test_split_ = supernet::load_supernet_module().open_test_split(
          config_.supernet, arguments_.output / "test_reads.jsonl");
    }
    if (!stage.deployed.quantization) {
      stage.test = test_split_->accuracy(stage.deployed);
      return;
    }
    const latency::DeviceConfig& board = config_.devices.front();
    const std::string onnx = read_file(arguments_.output / stage.file);
    const EngineTest tested = test_on_engine(
        stage.file, onnx, board.engine + " on " + board.name,
        [&](const network::Tensor& images) {
          auto logits = fleet_.run_model(board.name, onnx, images, latency::Precision::Int8);
          if (!logits.ok()) {
            throw DeviceError("device " + board.name + ": running " + stage.file +
                              " on test images: " + logits.failure().message);
          }
          return std::move(logits).value();
        },
        *test_split_, kCheckImages);
    stage.test = tested.accuracy;
    stage.parity = tested.parity;
  }

  void write() const {
    Json rows = Json::array();
    std::vector<std::string> header = {"network", "val", "test"};
    for (const auto& device : config_.devices) header.push_back("ms @ " + device.name);
    header.insert(header.end(), {"MACs", "params", "file"});
    TextTable table(header);
    for (const Stage& stage : stages_) {
      const network::Cost cost = network::cost(stage.deployed);
      std::vector<std::string> cells = {stage.name, digits(stage.validation.top1),
                                        digits(stage.test->top1)};
      Json latencies = Json::object();
      for (size_t d = 0; d < config_.devices.size(); ++d) {
        const latency::LatencyEstimate& estimate = stage.latencies[d];
        char text[64];
        std::snprintf(text, sizeof(text), "%.4g [%.4g, %.4g]", estimate.median_ms,
                      estimate.interval_ms.low, estimate.interval_ms.high);
        cells.emplace_back(text);
        latencies[config_.devices[d].name] = Json::parse(latency::to_json(estimate));
      }
      cells.insert(cells.end(), {format_count(static_cast<double>(cost.macs)),
                                 format_count(static_cast<double>(cost.params)),
                                 format_bytes(static_cast<double>(stage.bytes))});
      table.add(std::move(cells));
      Json row = {{"network", stage.name},
                  {"file", stage.file},
                  {"validation_top1", stage.validation.top1},
                  {"test_top1", stage.test->top1},
                  {"test_standard_error", stage.test->standard_error},
                  {"macs", cost.macs},
                  {"params", cost.params},
                  {"peak_activation_bytes", cost.peak_activation_bytes},
                  {"file_bytes", stage.bytes},
                  {"latencies", latencies}};
      if (stage.parity) {
        row["top1_agreement_with_onnx_runtime"] = stage.parity->top1_agreement;
      }
      rows.push_back(std::move(row));
    }
    write_file_atomically(arguments_.output / "compress.json", rows.dump(1) + "\n");
    write_file_atomically(
        arguments_.output / "preprocessing.json",
        preprocessing_json(supernet_->data(), stages_.front().deployed.network.input_shape()));
    std::error_code error;
    std::filesystem::remove_all(work(), error);
    std::printf("%s\n%s\n", table.text().c_str(), arguments_.output.c_str());
  }

  /// A change of a fraction in points.
  static std::string points(double change) {
    char text[32];
    std::snprintf(text, sizeof(text), "%+.2f", 100.0 * change);
    return text;
  }

  static std::string digits(double top1) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.4f", top1);
    return text;
  }

  const CompressArguments& arguments_;
  const CompressConfig& config_;
  latency::Fleet fleet_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<search::SearchSpace> space_;
  std::unique_ptr<supernet::Supernet> supernet_;
  std::unique_ptr<supernet::TestSplit> test_split_;
  std::vector<Stage> stages_;
};

}  // namespace

void compress_command(const CompressArguments& arguments) {
  const CompressConfig config = read_config(arguments);
  std::error_code error;  // the lock says what is wrong with the folder
  std::filesystem::create_directories(arguments.output, error);
  const FileLock lock(arguments.output / "lock");
  Compression compression(arguments, config);
  if (!compression.run()) throw Error("stopped; the same command continues");
}

}  // namespace lathe::cli
