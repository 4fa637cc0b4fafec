#include "experiments/compression/quantisation_study.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file.h"
#include "core/progress.h"
#include "experiments/compression/int8_speed.h"
#include "experiments/compression/trained_run.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "network/cost.h"
#include "network/onnx.h"
#include "network/onnx_runtime_check.h"
#include "network/passes.h"
#include "supernet/supernet.h"

namespace lathe::study {
namespace {

using supernet::QuantizeOptions;
using supernet::Supernet;

struct Arguments {
  std::string networks_of;  ///< a search space's file, or a run's folder
  std::string out = "results.json";
  std::string work = "/tmp/lathe-quantisation-study";
  int64_t networks = 4;  ///< at most
  int64_t train_images = 0;
  double epochs = 6;
  double qat_epochs = 1;
  double binary_epochs = 2;
  int64_t parity_images = 1000;
  int threads = 0;
};

/// One way of making int8.
struct Variant {
  std::string name;
  QuantizeOptions options;
};

/// What one network lost by one variant, in points of validation top-1.
struct Loss {
  std::string network;
  std::string variant;
  double points = 0.0;
  double standard_error = 0.0;  ///< of the paired difference
};

/// What became of one network.
struct Subject {
  std::string name;
  network::Model model;
  int64_t macs = 0;
  std::vector<bool> right;  ///< by validation image, in fp32
  double top1 = 0.0;
  Int8Speed speed;
  int64_t fp32_bytes = 0, int8_bytes = 0;
  double runtime_agreement = 0.0, supernet_agreement = 0.0;
};

QuantizeOptions plain(network::RangeMethod method) {
  QuantizeOptions options;
  options.range.method = method;
  options.correct_bias = false;
  options.sensitivity_images = 0;
  return options;
}

std::vector<Variant> variants(const Arguments& arguments) {
  std::vector<Variant> variants;
  for (const std::string& name : network::range_method_names()) {
    variants.push_back({name, plain(network::range_method_from_string(name))});
  }
  const QuantizeOptions mse = plain(network::RangeMethod::Mse);
  const auto add = [&](const std::string& name, const auto& change) {
    variants.push_back({name, mse});
    change(variants.back().options);
  };
  add("mse, biases corrected", [](QuantizeOptions& o) { o.correct_bias = true; });
  add("mse, equalised", [](QuantizeOptions& o) { o.equalize = true; });
  add("mse, weights clipped", [](QuantizeOptions& o) { o.clip_weights = true; });
  add("mse, all three",
      [](QuantizeOptions& o) { o.correct_bias = o.equalize = o.clip_weights = true; });
  add("trained", [&](QuantizeOptions& o) {
    o.correct_bias = true;
    o.training.epochs = arguments.qat_epochs;
  });
  if (arguments.binary_epochs <= 0.0) return variants;
  add("binary weights, trained", [&](QuantizeOptions& o) {
    o.training.epochs = arguments.binary_epochs;
    o.training.learning_rate = 0.05;
    o.training.binary_weights = true;
  });
  return variants;
}

class QuantisationStudy {
 public:
  explicit QuantisationStudy(const Arguments& arguments) : arguments_(arguments) {
    progress_ = terminal_progress();
    if (std::filesystem::is_directory(arguments.networks_of)) {
      TrainedRun run(arguments.networks_of);
      space_name_ = run.space().name();
      chosen_ = run.chosen();
      supernet_ = run.take_supernet();
      return;
    }
    supernet::SupernetOptions options;
    options.seed = 1;
    options.threads = arguments.threads;
    options.data.train_limit = arguments.train_images;
    space_ = search::read_search_space(arguments.networks_of);
    space_name_ = space_->name();
    supernet_ = supernet::load_supernet_module().create(*space_, options, arguments.work + "/run");
  }

  nlohmann::json run() {
    const double start_s = steady_clock().now_s();
    std::vector<Subject> subjects;
    std::vector<Loss> losses;
    const int64_t at_hand = space_ ? arguments_.networks : static_cast<int64_t>(chosen_.size());
    for (int64_t n = 0; n < std::min(arguments_.networks, at_hand); ++n) {
      subjects.push_back(space_ ? trained_network(n) : subject_of(chosen_[static_cast<size_t>(n)]));
      for (const Variant& variant : variants(arguments_)) {
        losses.push_back(measure(subjects.back(), variant));
        const Loss& loss = losses.back();
        std::printf("%s, %s: %.2f ± %.2f points\n", loss.network.c_str(), loss.variant.c_str(),
                    loss.points, loss.standard_error);
        std::fflush(stdout);
      }
    }
    print_losses(subjects, losses);
    print_engines(subjects);
    return to_json(subjects, losses, steady_clock().now_s() - start_s);
  }

 private:
  /// The smallest and the largest network of the space, then drawn ones, each trained alone.
  Subject trained_network(int64_t index) {
    Rng rng = Rng(7).derive("network", static_cast<uint64_t>(index));
    const search::Architecture architecture = index == 0   ? space_->smallest()
                                              : index == 1 ? space_->largest()
                                                           : space_->sample(rng);
    const network::Network network = space_->lower(architecture);
    Supernet::FineTuneOptions training;
    training.epochs = arguments_.epochs;
    training.learning_rate = 0.1;
    return subject_of({"network " + std::to_string(index + 1),
                       supernet_
                           ->fine_tune({network, network::random_weights(network, rng.seed())},
                                       nullptr, training, *progress_)
                           .model});
  }

  Subject subject_of(const ChosenNetwork& network) {
    Subject subject;
    subject.name = network.name;
    subject.model = network.model;
    subject.macs = network::cost(network.model.network).macs;
    subject.right = right(subject.model);
    for (const bool each : subject.right) subject.top1 += each ? 1.0 : 0.0;
    subject.top1 /= static_cast<double>(subject.right.size());
    return subject;
  }

  supernet::LabelledImages images(const network::Model& model, int64_t count) {
    return supernet_->validation_images(count, model.network.input_shape()[2]);
  }

  std::vector<bool> right(const network::Model& model) {
    const auto [pixels, labels] = images(model, supernet_->data().validation);
    const std::vector<int64_t> top = top_classes(supernet_->logits(model, pixels));
    std::vector<bool> right;
    for (size_t i = 0; i < top.size(); ++i) right.push_back(top[i] == labels[i]);
    return right;
  }

  Loss measure(Subject& subject, const Variant& variant) {
    const auto quantized = supernet_->quantize(subject.model, nullptr, variant.options, *progress_);
    if (variant.name == "mse, biases corrected") compare_engines(subject, quantized.model);
    const std::vector<bool> after = right(quantized.model);
    double sum = 0.0;
    double squares = 0.0;
    for (size_t i = 0; i < after.size(); ++i) {
      const double lost = (subject.right[i] ? 1.0 : 0.0) - (after[i] ? 1.0 : 0.0);
      sum += lost;
      squares += lost * lost;
    }
    const auto count = static_cast<double>(after.size());
    const double mean = sum / count;
    return {subject.name, variant.name, 100.0 * mean,
            100.0 * std::sqrt((squares / count - mean * mean) / count)};
  }

  static double agreement(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
    double same = 0.0;
    for (size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1.0 : 0.0;
    return same / static_cast<double>(a.size());
  }

  /// Speed and sizes, and whether engine, ONNX Runtime and the supernet's rounding agree.
  void compare_engines(Subject& subject, const network::Model& integers) {
    const network::Model floats = network::deploy(subject.model);
    subject.speed = int8_speed(floats, integers);
    const std::string stem = arguments_.work + "/" + subject.name;
    std::filesystem::create_directories(arguments_.work);
    write_file_atomically(stem + ".onnx", network::to_onnx(floats));
    write_file_atomically(stem + ".int8.onnx", network::to_onnx(integers));
    subject.fp32_bytes = static_cast<int64_t>(std::filesystem::file_size(stem + ".onnx"));
    subject.int8_bytes = static_cast<int64_t>(std::filesystem::file_size(stem + ".int8.onnx"));
    network::OnnxExportOptions dynamic;
    dynamic.dynamic_batch = true;
    const std::string file = network::to_onnx(integers, dynamic);
    const network::Tensor pixels = images(subject.model, arguments_.parity_images).images;
    const std::vector<int64_t> engine = engine_classes(file, pixels);
    subject.runtime_agreement =
        agreement(engine, top_classes(network::run_with_onnx_runtime(file, pixels)));
    subject.supernet_agreement =
        agreement(engine, top_classes(supernet_->logits(integers, pixels)));
  }

  void print_losses(const std::vector<Subject>& subjects, const std::vector<Loss>& losses) const {
    std::printf("\n| int8 |");
    for (const Subject& subject : subjects) std::printf(" %s |", subject.name.c_str());
    std::printf("\n|---|");
    for (size_t i = 0; i < subjects.size(); ++i) std::printf("---|");
    std::printf("\n| fp32 top-1 |");
    for (const Subject& subject : subjects) std::printf(" %.2f %% |", 100.0 * subject.top1);
    for (const Variant& variant : variants(arguments_)) {
      std::printf("\n| %s |", variant.name.c_str());
      for (const Loss& loss : losses) {
        if (loss.variant != variant.name) continue;
        std::printf(" %.2f ± %.2f |", loss.points, loss.standard_error);
      }
    }
    std::printf("\n");
  }

  static void print_engines(const std::vector<Subject>& subjects) {
    std::printf(
        "\n| | MACs | fp32, int8 ms | int8 faster | fp32, int8 bytes | ONNX Runtime | "
        "supernet |\n|---|---|---|---|---|---|---|\n");
    for (const Subject& s : subjects) {
      std::printf("| %s | %.2f M | %.3f, %.3f | %.2f | %ld, %ld | %.2f %% | %.2f %% |\n",
                  s.name.c_str(), 1e-6 * static_cast<double>(s.macs), 1e3 * s.speed.fp32_s,
                  1e3 * s.speed.int8_s, s.speed.ratio(), static_cast<long>(s.fp32_bytes),
                  static_cast<long>(s.int8_bytes), 100.0 * s.runtime_agreement,
                  100.0 * s.supernet_agreement);
    }
  }

  nlohmann::json to_json(const std::vector<Subject>& subjects, const std::vector<Loss>& losses,
                         double seconds) const {
    nlohmann::json json = {{"dataset", supernet_->data().dataset},
                           {"space", space_name_},
                           {"train_images", supernet_->data().train},
                           {"validation_images", supernet_->data().validation},
                           {"epochs", arguments_.epochs},
                           {"qat_epochs", arguments_.qat_epochs},
                           {"binary_epochs", arguments_.binary_epochs},
                           {"parity_images", arguments_.parity_images},
                           {"study_s", seconds}};
    for (const Subject& s : subjects) {
      json["networks"].push_back({{"name", s.name},
                                  {"macs", s.macs},
                                  {"top1", s.top1},
                                  {"engine", s.speed.engine},
                                  {"fp32_ms", 1e3 * s.speed.fp32_s},
                                  {"int8_ms", 1e3 * s.speed.int8_s},
                                  {"fp32_bytes", s.fp32_bytes},
                                  {"int8_bytes", s.int8_bytes},
                                  {"onnx_runtime_agreement", s.runtime_agreement},
                                  {"supernet_agreement", s.supernet_agreement}});
    }
    for (const Loss& loss : losses) {
      json["losses"].push_back({{"network", loss.network},
                                {"variant", loss.variant},
                                {"points", loss.points},
                                {"standard_error", loss.standard_error}});
    }
    return json;
  }

  const Arguments& arguments_;
  std::string space_name_;
  std::unique_ptr<search::SearchSpace> space_;  ///< of which networks are drawn and trained; or
  std::vector<ChosenNetwork> chosen_;           ///< those of a run
  std::unique_ptr<Supernet> supernet_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace

int quantisation_main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"int8 networks by every observer and method, against fp32"};
  app.add_option("networks-of", arguments.networks_of,
                 "a search space, of which networks are trained, or the folder of a finished run "
                 "with its own")
      ->required();
  add_out(app, arguments.out);
  app.add_option("--work", arguments.work, "folder for files")->capture_default_str();
  app.add_option("--networks", arguments.networks, "at most")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--train-images", arguments.train_images, "0: all")->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "of each network")->capture_default_str();
  app.add_option("--qat-epochs", arguments.qat_epochs, "in int8")->capture_default_str();
  app.add_option("--binary-epochs", arguments.binary_epochs, "with binary weights; 0: not at all")
      ->capture_default_str();
  app.add_option("--parity-images", arguments.parity_images, "")->capture_default_str();
  app.add_option("--threads", arguments.threads, "0: all cores")->capture_default_str();
  return run_study(app, "quantisation", argc, argv, [&] {
    merge_results(arguments.out,
                  {{std::filesystem::is_directory(arguments.networks_of) ? "quantisation_of_run"
                                                                         : "quantisation",
                    QuantisationStudy(arguments).run()}});
  });
}

}  // namespace lathe::study
