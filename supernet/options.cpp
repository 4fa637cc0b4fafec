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

/// `sampler: NAME`, or `sampler: {name: NAME, ...}` with the keys of that one.
void read_sampler_options(ConfigSection section, SamplerOptions& options) {
  const std::vector<std::string> names = {"sandwich", "attentive", "uniform", "fair",
                                          "progressive"};
  if (!section.is_mapping("sampler")) {
    options.name = section.choice("sampler", options.name, names);
    return;
  }
  ConfigSection sampler = section.section("sampler");
  options.name = sampler.choice("name", std::nullopt, names);
  if (options.name == "sandwich" || options.name == "attentive") {
    options.smallest_every =
        sampler.integer("smallest_every", options.smallest_every, {1, 1'000'000});
  }
  if (options.name == "attentive") {
    options.candidates = sampler.integer("candidates", options.candidates, {2, 32});
    options.train_worst = sampler.choice("train", "best", {"best", "worst"}) == "worst";
  }
  sampler.finish();
}

void read_teacher_options(ConfigSection section, TeacherOptions& options) {
  if (!section.present()) return;
  options.model = section.text("model", std::nullopt);
  options.weight = section.real("weight", options.weight, {0.0, 1.0, true});
  options.temperature = section.real("temperature", options.temperature, {0.1, 100.0});
  section.finish();
}

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
  read_sampler_options(section, train.sampler);
  const bool single_path = train.sampler.name == "uniform";
  train.random_subnets =
      section.integer("random_subnets", single_path ? 1 : train.random_subnets, {single_path, 64});
  train.batch = section.integer("batch", train.batch, {2, 1'000'000});
  train.learning_rate = section.real("learning_rate", train.learning_rate, {0.0, 100.0, true});
  const double usual_warmup = std::min(train.warmup_epochs, 0.1 * train.epochs);
  train.warmup_epochs = section.real("warmup_epochs", usual_warmup, {0.0, 1e6});
  train.momentum = section.real("momentum", train.momentum, {0.0, 0.9999});
  train.weight_decay = section.real("weight_decay", train.weight_decay, {0.0, 1.0});
  train.label_smoothing = section.real("label_smoothing", train.label_smoothing, {0.0, 0.9});
  train.gradient_clip = section.real("gradient_clip", train.gradient_clip, {0.0, 1e9});
  train.dropout = section.real("dropout", train.dropout, {0.0, 0.9});
  train.drop_connect = section.real("drop_connect", train.drop_connect, {0.0, 0.9});
  train.ema = section.real("ema", train.ema, {0.0, 0.999999});
  train.kernel_transform = section.boolean("kernel_transform", train.kernel_transform);
  read_teacher_options(section.section("teacher"), train.teacher);
  // bf16 is faster for some spaces and slower for others (docs/distributed.md): never by itself.
  const std::string precision = section.choice("precision", "auto", {"auto", "fp32", "bf16"});
  train.precision = precision == "bf16" ? Precision::Bf16 : Precision::Fp32;
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
