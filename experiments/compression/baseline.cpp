#include "experiments/compression/baseline.h"

#include <cstdio>
#include <filesystem>
#include <string>

#include "core/clock.h"
#include "core/file.h"
#include "core/progress.h"
#include "experiments/compression/networks.h"
#include "experiments/support/command_line.h"
#include "network/cost.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "supernet/supernet.h"

namespace lathe::study {
namespace {

struct Arguments {
  std::string file = "resnet20.onnx";
  std::string dataset = "fashion_mnist";
  double epochs = 16;
  double learning_rate = 0.1;
  int threads = 0;
};

void train(const Arguments& arguments) {
  supernet::SupernetOptions options;
  options.threads = arguments.threads;
  options.data.dataset = arguments.dataset;
  options.data.augmentation.crop_padding = supernet::Augmentation::kAutomatic;
  options.data.augmentation.flip = true;
  options.train.weight_decay = 5e-4;
  const auto data = supernet::load_supernet_module().inspect_data(options);
  ResidualNetworkOptions sizes;
  sizes.channels = data.channels;
  sizes.resolution = data.height;
  sizes.classes = data.classes;
  const network::Network network = residual_network(sizes);
  const std::filesystem::path work = arguments.file + ".work";
  const auto space = search::read_search_space_text(formal_space(sizes), "baseline");
  const auto supernet = supernet::load_supernet_module().create(*space, options, work);
  supernet::Lesson lesson;
  lesson.students = {{network, network::random_weights(network, options.seed)}};
  lesson.options.epochs = arguments.epochs;
  lesson.options.learning_rate = arguments.learning_rate;
  lesson.options.warmup_epochs = 1;
  lesson.options.checkpoint = work / "checkpoint.pt";
  lesson.options.title = "ResNet-20";
  std::filesystem::create_directories(work);
  const auto progress = terminal_progress();
  const double start_s = steady_clock().now_s();
  const auto trained = supernet->train_alone(lesson, *progress, [] { return false; }).front();
  network::OnnxExportOptions dynamic;
  dynamic.dynamic_batch = true;
  write_file_atomically(arguments.file, network::to_onnx(network::deploy(trained.model), dynamic));
  std::filesystem::remove_all(work);
  const network::Cost cost = network::cost(network);
  std::printf("%s: %.1f M MACs, %.0f k parameters, validation top-1 %.4f, %.0f s since the start\n",
              arguments.file.c_str(), 1e-6 * static_cast<double>(cost.macs),
              1e-3 * static_cast<double>(cost.params), trained.validation.top1,
              steady_clock().now_s() - start_s);
}

}  // namespace

int baseline_main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"ResNet-20, trained by itself, as an ONNX file to compare with"};
  app.add_option("--to", arguments.file, "file")->capture_default_str();
  app.add_option("--dataset", arguments.dataset, "of lathe")->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "")->capture_default_str();
  app.add_option("--learning-rate", arguments.learning_rate, "cosine to zero")
      ->capture_default_str();
  app.add_option("--threads", arguments.threads, "0: all cores")->capture_default_str();
  return run_study(app, "baseline", argc, argv, [&] { train(arguments); });
}

}  // namespace lathe::study
