#include <algorithm>

#include "supernet/supernet.h"

namespace lathe::supernet {

const std::vector<std::string>& dataset_names() {
  static const std::vector<std::string> kNames = {"fashion_mnist", "mnist",  "cifar10",
                                                  "cifar100",      "folder", "csv"};
  return kNames;
}

DataOptions read_data_options(ConfigSection section) {
  DataOptions options;
  options.dataset = section.choice("dataset", options.dataset, dataset_names());
  options.path = section.text("path", options.path.string());
  options.cache = section.text("cache", options.cache.string());
  options.resolution = section.integer("resolution", options.resolution, {0, 4096});
  options.channels = section.integer("channels", options.channels, {1, 3, 1});
  options.verify = section.boolean("verify", options.verify);
  const bool is_files = options.dataset == "folder" || options.dataset == "csv";
  if (is_files && options.path.empty()) {
    section.fault("path", "the folder of the images for dataset: " + options.dataset);
  }
  for (const char* key : {"resolution", "channels"}) {
    if (!is_files && section.has(key))
      section.fault(key, "nothing: it is for dataset: folder or csv");
  }
  if (options.channels == 2) section.fault("channels", "1 (grey) or 3 (RGB)");
  options.validation = section.count("validation", options.validation, {100, 1'000'000'000});
  options.calibration = section.count("calibration", options.calibration, {100, 1'000'000'000});
  options.train_limit = section.count("train_limit", options.train_limit, {0, 1'000'000'000});
  options.augmentation = read_augmentation(section, "augmentation", options.augmentation);
  options.augmentation.mixup = section.real("mixup", options.augmentation.mixup, {0.0, 100.0});
  section.finish();
  return options;
}

namespace {

void read_evaluation_options(ConfigSection section, EvaluationOptions& options) {
  options.batch = section.integer("batch", options.batch, {1, 100'000});
  options.calibration_images =
      section.count("calibration_images", options.calibration_images, {1, 1'000'000'000});
  options.memory_bytes =
      section.size_bytes("memory", options.memory_bytes, {int64_t{1} << 20, INT64_MAX});
  section.finish();
}

}  // namespace

void read_supernet_options(ConfigSection section, SupernetOptions& options) {
  TrainOptions& train = options.train;
  train.epochs = section.real("epochs", train.epochs, {0.0, 1e6, true});
  train.sampler = section.choice("sampler", train.sampler, {"sandwich"});
  train.random_subnets = section.integer("random_subnets", train.random_subnets, {0, 64});
  train.batch = section.integer("batch", train.batch, {2, 1'000'000});
  train.learning_rate = section.real("learning_rate", train.learning_rate, {0.0, 100.0, true});
  const double usual_warmup = std::min(train.warmup_epochs, 0.1 * train.epochs);
  train.warmup_epochs = section.real("warmup_epochs", usual_warmup, {0.0, 1e6});
  train.momentum = section.real("momentum", train.momentum, {0.0, 0.9999});
  train.weight_decay = section.real("weight_decay", train.weight_decay, {0.0, 1.0});
  train.label_smoothing = section.real("label_smoothing", train.label_smoothing, {0.0, 0.9});
  train.gradient_clip = section.real("gradient_clip", train.gradient_clip, {0.0, 1e9});
  train.checkpoint_interval_s =
      section.duration_s("checkpoint_interval", train.checkpoint_interval_s, {0.0, 1e9});
  if (train.warmup_epochs >= train.epochs) {
    section.fault("warmup_epochs", "less than epochs");
  }
  options.threads = static_cast<int>(section.integer("threads", options.threads, {0, 4096}));
  options.device = section.choice("device", options.device, {"auto", "cpu", "cuda"});
  read_evaluation_options(section.section("evaluation"), options.evaluation);
  section.finish();
}

}  // namespace lathe::supernet
