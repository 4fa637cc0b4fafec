// liblathe_supernet.so: the implementation behind supernet.h and the border where LibTorch's errors
// end.

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "supernet/data/dataset.h"
#include "supernet/data/fetch.h"
#include "supernet/data/splits.h"
#include "supernet/evaluate/extraction.h"
#include "supernet/evaluate/subnet_evaluator.h"
#include "supernet/executor/compute.h"
#include "supernet/module_entry.h"
#include "supernet/supernet.h"
#include "supernet/train/fine_tune.h"
#include "supernet/train/sandwich_trainer.h"

namespace lathe::supernet {
namespace {

/// Runs `f`; what LibTorch throws comes out as Error without its stack trace.
template <typename F>
auto translated(F&& f) {
  try {
    return f();
  } catch (const c10::Error& error) {
    throw Error(std::string("LibTorch: ") + error.what_without_backtrace());
  }
}

DataSummary summarise(const DatasetInfo& info, const Splits& splits, const ImageSet& images) {
  DataSummary summary;
  summary.dataset = info.name;
  summary.channels = info.shape.channels;
  summary.height = info.shape.height;
  summary.width = info.shape.width;
  summary.classes = info.classes;
  summary.class_names = info.class_names;
  summary.mean = info.mean;
  summary.standard_deviation = info.standard_deviation;
  summary.train = static_cast<int64_t>(splits.train.size());
  summary.calibration = static_cast<int64_t>(splits.calibration.size());
  summary.validation = static_cast<int64_t>(splits.validation.size());
  summary.train_per_class = images_per_class(select(images, splits.train), info.classes);
  summary.validation_per_class = images_per_class(select(images, splits.validation), info.classes);
  summary.train_hash = split_hash(info.identity, "training files", splits.train);
  summary.calibration_hash = split_hash(info.identity, "training files", splits.calibration);
  summary.validation_hash = split_hash(info.identity, "training files", splits.validation);
  return summary;
}

/// \throws ConfigError unless the space's networks fit the images and classes.
void check_space(const search::SearchSpace& space, const DatasetInfo& info) {
  const network::Network network = space.lower(space.largest());
  if (network.input_shape()[1] != info.shape.channels ||
      network.output_shape().back() != info.classes) {
    throw ConfigError("space " + space.name() +
                      ": input channels = " + std::to_string(network.input_shape()[1]) +
                      ", classes = " + std::to_string(network.output_shape().back()) +
                      ", expected " + std::to_string(info.shape.channels) + " and " +
                      std::to_string(info.classes) + " for " + info.name);
  }
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

Identity identity_of(const search::SearchSpace& space, const SupernetOptions& options,
                     const DataSummary& summary, const SharedWeights& weights) {
  const TrainOptions& train = options.train;
  return {{"space", space.name()},
          {"weights", weights.layout_hash()},
          {"dataset", summary.dataset},
          {"train_hash", summary.train_hash},
          {"seed", std::to_string(options.seed)},
          {"augmentation", to_string(options.data.augmentation)},
          {"epochs", number(train.epochs)},
          {"sampler", train.sampler},
          {"random_subnets", std::to_string(train.random_subnets)},
          {"batch", std::to_string(train.batch)},
          {"learning_rate", number(train.learning_rate)},
          {"warmup_epochs", number(train.warmup_epochs)},
          {"momentum", number(train.momentum)},
          {"weight_decay", number(train.weight_decay)},
          {"label_smoothing", number(train.label_smoothing)},
          {"gradient_clip", number(train.gradient_clip)}};
}

LabelledImages labelled(const Batches& images, int64_t count, int64_t resolution) {
  const Batch batch = images.range(0, std::min(count, images.size()));
  LabelledImages result;
  result.images = to_network(resized(batch.images, resolution, resolution));
  const at::Tensor labels = batch.labels.to(at::kCPU);
  result.labels.assign(labels.data_ptr<int64_t>(), labels.data_ptr<int64_t>() + labels.numel());
  return result;
}

struct OpenedData {
  DatasetInfo info;
  Splits splits;
  ImageSet images;
};

OpenedData open_training_files(const SupernetOptions& options) {
  OpenedData opened;
  const auto dataset = open_dataset(options.data);
  opened.info = dataset->train_info();
  opened.splits = split_training_files(options.data, opened.info.train, options.seed);
  opened.images = dataset->read_train();
  return opened;
}

class TorchSupernet : public Supernet {
 public:
  TorchSupernet(const search::SearchSpace& space, const SupernetOptions& options,
                const std::filesystem::path& run_folder, const OpenedData& opened,
                at::Device device)
      : options_(options),
        device_(device),
        summary_(summarise(opened.info, opened.splits, opened.images)),
        train_images_(select(opened.images, opened.splits.train), opened.info, device),
        calibration_(select(opened.images, opened.splits.calibration), opened.info, device),
        validation_(select(opened.images, opened.splits.validation), opened.info, device),
        weights_(space.covering(), Rng(options.seed).derive("weights").seed(), device),
        largest_(space.lower(space.largest())),
        smallest_(space.lower(space.smallest())),
        evaluator_(weights_, calibration_, validation_, options.evaluation, options.threads),
        trainer_(space, weights_, train_images_, options,
                 identity_of(space, options, summary_, weights_),
                 {run_folder / "supernet" / "checkpoint.pt",
                  run_folder / "supernet" / "metrics.jsonl"}) {}

  const DataSummary& data() const override { return summary_; }

  std::vector<EpochRecord> train(Progress& progress, const std::function<bool()>& stop) override {
    evaluator_.forget();
    return translated(
        [&] { return trainer_.run(progress, stop, [this] { return measure_extremes(); }); });
  }
  bool trained() const override { return trainer_.finished(); }

  search::AccuracyEvaluator& evaluator() override { return evaluator_; }

  ExtractedModel extract(const network::Network& subnet) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      FrozenSlices parameters(weights_);
      return calibrated(subnet, parameters);
    });
  }

  ExtractedModel fine_tune(const network::Model& model, const network::Model* teacher,
                           const FineTuneOptions& tuning, Progress& progress) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      const network::Model tuned =
          fine_tune_model(model, teacher, train_images_, options_, tuning, device_, progress);
      ModelParameters parameters(tuned.weights, device_);
      return calibrated(tuned.network, parameters);
    });
  }

  network::Tensor logits(const network::Model& model, const network::Tensor& images) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      return to_network(model_logits(model, to_torch(images, device_), options_.evaluation.batch));
    });
  }

  LabelledImages validation_images(int64_t count, int64_t resolution) override {
    return translated([&] { return labelled(validation_, count, resolution); });
  }

 private:
  std::pair<double, double> measure_extremes() {
    const auto estimates = evaluator_.evaluate_networks({&largest_, &smallest_}, [] {});
    return {estimates[0].top1, estimates[1].top1};
  }

  /// Recalibrates the network and measures it on the validation split.
  ExtractedModel calibrated(const network::Network& network, ParameterSource& parameters) {
    const Plan plan = make_plan(network);
    const auto moments =
        recalibrate(plan, parameters, calibration_, options_.evaluation.calibration_images,
                    options_.evaluation.batch, [] {});
    ExtractedModel extracted;
    extracted.model = make_model(network, parameters, moments);
    extracted.validation =
        model_accuracy(extracted.model, validation_, options_.evaluation.batch, device_);
    return extracted;
  }

  SupernetOptions options_;
  at::Device device_;
  DataSummary summary_;
  Batches train_images_, calibration_, validation_;
  SharedWeights weights_;
  network::Network largest_, smallest_;
  SubnetEvaluator evaluator_;
  SandwichTrainer trainer_;
};

class FileTestSplit : public TestSplit {
 public:
  FileTestSplit(const SupernetOptions& options, const Dataset& dataset, at::Device device)
      : options_(options),
        device_(device),
        images_(dataset.read_test(), dataset.train_info(), device) {}

  search::AccuracyEstimate accuracy(const network::Model& model) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      return model_accuracy(model, images_, options_.evaluation.batch, device_);
    });
  }
  LabelledImages images(int64_t count, int64_t resolution) override {
    return translated([&] { return labelled(images_, count, resolution); });
  }

 private:
  SupernetOptions options_;
  at::Device device_;
  Batches images_;
};

class TorchModule : public SupernetModule {
 public:
  std::unique_ptr<Supernet> create(const search::SearchSpace& space, const SupernetOptions& options,
                                   const std::filesystem::path& run_folder) override {
    return translated([&]() -> std::unique_ptr<Supernet> {
      const at::Device device = select_device(options.device);
      const OpenedData opened = open_training_files(options);
      check_space(space, opened.info);
      return std::make_unique<TorchSupernet>(space, options, run_folder, opened, device);
    });
  }

  std::unique_ptr<TestSplit> open_test_split(const SupernetOptions& options,
                                             const std::filesystem::path& ledger) override {
    return translated([&]() -> std::unique_ptr<TestSplit> {
      const auto dataset = open_dataset(options.data);
      if (ledger.has_parent_path()) std::filesystem::create_directories(ledger.parent_path());
      // Written first: a reader that fails half-way has still been there.
      append_line(ledger, "{\"event\":\"test files opened\",\"dataset\":\"" + dataset->name() +
                              "\",\"time\":\"" + utc_now() + "\"}");
      return std::make_unique<FileTestSplit>(options, *dataset, select_device(options.device));
    });
  }

  DataSummary inspect_data(const SupernetOptions& options) override {
    const OpenedData opened = open_training_files(options);
    DataSummary summary = summarise(opened.info, opened.splits, opened.images);
    summary.test = open_dataset(options.data)->test_count();
    std::vector<int64_t> indices(static_cast<size_t>(summary.test));
    for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i);
    summary.test_hash = split_hash(opened.info.identity, "test files", indices);
    return summary;
  }

  std::filesystem::path fetch_data(const std::string& dataset,
                                   const std::filesystem::path& folder) override {
    DataOptions options;
    options.dataset = dataset;
    options.path = folder;
    if (dataset != "cifar10") return open_dataset(options)->folder();
    options.path = folder.empty() ? default_cifar10_folder() : folder;
    fetch_cifar10(options.path, published_cifar10());
    return options.path;
  }
};

}  // namespace
}  // namespace lathe::supernet

extern "C" __attribute__((visibility("default"))) lathe::supernet::SupernetModule&
lathe_supernet_module_v1() {
  static lathe::supernet::TorchModule module;
  return module;
}
