// liblathe_supernet.so: the implementation behind supernet.h and the border where LibTorch's errors
// end.

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/text.h"
#include "supernet/compress/channel_scores.h"
#include "supernet/compress/lesson_trainer.h"
#include "supernet/compress/quantize_model.h"
#include "supernet/data/dataset.h"
#include "supernet/data/fetch.h"
#include "supernet/data/splits.h"
#include "supernet/distributed/work_group.h"
#include "supernet/evaluate/extraction.h"
#include "supernet/evaluate/subnet_evaluator.h"
#include "supernet/executor/compute.h"
#include "supernet/export/torchscript.h"
#include "supernet/module_entry.h"
#include "supernet/supernet.h"
#include "supernet/train/supernet_trainer.h"
#include "supernet/training_memory.h"

namespace lathe::supernet {
namespace {

/// How crops are filled beyond the image; the first lathe filled them with black.
constexpr const char* kCropEdges = "mirrored";

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

std::string sampler_text(const SamplerOptions& sampler) {
  std::string text = sampler.name;
  if (sampler.name == "attentive") {
    text += " " + std::to_string(sampler.candidates) + (sampler.train_worst ? " worst" : " best");
  }
  if (sampler.smallest_every != 1) {
    text += ", the smallest every " + std::to_string(sampler.smallest_every);
  }
  return text;
}

std::string teacher_text(const SupernetOptions& options) {
  if (!options.teacher) return "none";
  const TeacherOptions& teacher = options.train.teacher;
  return hash_of(*options.teacher) + " " + exact_text(teacher.weight) + " " +
         exact_text(teacher.temperature);
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
          {"crop_edges", kCropEdges},
          {"epochs", exact_text(train.epochs)},
          {"sampler", sampler_text(train.sampler)},
          {"random_subnets", std::to_string(train.random_subnets)},
          {"batch", std::to_string(train.batch)},
          {"learning_rate", exact_text(train.learning_rate)},
          {"warmup_epochs", exact_text(train.warmup_epochs)},
          {"momentum", exact_text(train.momentum)},
          {"weight_decay", exact_text(train.weight_decay)},
          {"label_smoothing", exact_text(train.label_smoothing)},
          {"gradient_clip", exact_text(train.gradient_clip)},
          {"dropout", exact_text(train.dropout)},
          {"drop_connect", exact_text(train.drop_connect)},
          {"ema", exact_text(train.ema)},
          {"kernel_transform", train.kernel_transform ? "true" : "false"},
          {"precision", train.precision == Precision::Bf16 ? "bf16" : "fp32"},
          {"teacher", teacher_text(options)}};
}

/// What training alone sees.
Identity data_identity(const SupernetOptions& options, const DataSummary& summary) {
  return {{"dataset", summary.dataset},
          {"train_hash", summary.train_hash},
          {"augmentation", to_string(options.data.augmentation)},
          {"crop_edges", kCropEdges}};
}

LabelledImages labelled(const Batches& images, int64_t begin, int64_t count, int64_t resolution) {
  LabelledImages result;
  if (begin >= images.size()) return result;
  const Batch batch = images.range(begin, std::min(begin + count, images.size()));
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
                at::Device device, WorkGroup* group)
      : options_(options),
        device_(device),
        space_(space),
        group_(group),
        summary_(summarise(opened.info, opened.splits, opened.images)),
        train_images_(select(opened.images, opened.splits.train), opened.info, device),
        calibration_(select(opened.images, opened.splits.calibration), opened.info, device),
        validation_(select(opened.images, opened.splits.validation), opened.info, device),
        weights_(space.covering(), Rng(options.seed).derive("weights").seed(), device,
                 options.train.kernel_transform),
        largest_(space.lower(space.largest())),
        smallest_(space.lower(space.smallest())),
        evaluator_(weights_, calibration_, validation_, options.evaluation, options.threads),
        trainer_(
            space, weights_, train_images_, options,
            identity_of(space, options, summary_, weights_),
            {run_folder / "supernet" / "checkpoint.pt", run_folder / "supernet" / "metrics.jsonl"},
            group == nullptr ? nullptr : &group->communicator()) {
    if (group == nullptr) return;
    evaluator_.share(group->communicator(), [group](const std::string& call) {
      group->order({WorkOrder::Verb::Evaluate, call});
    });
  }

  const DataSummary& data() const override { return summary_; }

  std::vector<EpochRecord> train(Progress& progress, const std::function<bool()>& stop) override {
    evaluator_.forget();
    if (!trained() && device_.is_cpu()) {
      const int64_t images = train_images_.size() + calibration_.size() + validation_.size();
      check_training_memory(estimate_training_memory(space_, options_.train, images),
                            options_.train, available_memory_bytes());
    }
    if (leads() && !trained()) group_->order({WorkOrder::Verb::Train, ""});
    return translated(
        [&] { return trainer_.run(progress, stop, [this] { return measure_extremes(); }); });
  }
  bool trained() const override { return trainer_.finished(); }

  /// Does what rank 0 calls for, until it wants another supernet or none.
  WorkOrder serve(const std::function<bool()>& stop) {
    while (true) {
      const WorkOrder order = group_->next_order();
      if (order.verb == WorkOrder::Verb::Train) {
        train(no_progress(), stop);
      } else if (order.verb == WorkOrder::Verb::Evaluate) {
        translated([&] { evaluator_.help(space_, order.text); });
      } else {
        return order;
      }
    }
  }

  search::AccuracyEvaluator& evaluator() override { return evaluator_; }

  ExtractedModel extract(const network::Network& subnet) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      FrozenSlices parameters(weights_);
      return calibrated(subnet, parameters);
    });
  }

  std::vector<ExtractedModel> train_alone(const Lesson& lesson, Progress& progress,
                                          const std::function<bool()>& stop) override {
    return translated([&]() -> std::vector<ExtractedModel> {
      const ComputeScope compute(options_.threads);
      LessonTrainer trainer(lesson, train_images_, summary_.classes, options_,
                            data_identity(options_, summary_), device_);
      if (!trainer.run(progress, stop)) return {};
      std::vector<ExtractedModel> trained;
      for (size_t s = 0; s < lesson.students.size(); ++s) {
        FrozenSlices parameters(trainer.weights(s));
        trained.push_back(calibrated(lesson.students[s].network, parameters));
      }
      return trained;
    });
  }

  search::AccuracyEstimate accuracy(const network::Model& model) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      return model_accuracy(model, validation_, options_.evaluation.batch, device_);
    });
  }

  std::string training_identity() const override {
    Identity identity = data_identity(options_, summary_);
    add_optimizer(options_.train, identity);
    std::string lines;
    for (const std::string& line : flatten(identity)) lines += line + "\n";
    return lines;
  }

  ExtractedModel calibrate(const network::Model& model) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      ModelParameters parameters(model.weights, device_);
      return calibrated(model.network, parameters);
    });
  }

  network::ChannelScores channel_scores(const network::Model& model,
                                        const std::vector<network::ChannelGroup>& groups,
                                        const ChannelScoreOptions& options) override {
    if (!network::needs_images(options.criterion))
      return network::weight_scores(model, groups, options.criterion, options.seed);
    return translated([&] {
      const ComputeScope compute(options_.threads);
      return image_scores(model, groups, options.criterion, calibration_, options.images,
                          options_.evaluation.batch, device_);
    });
  }

  std::optional<QuantizedModel> quantize(const network::Model& model, const network::Model* teacher,
                                         const QuantizeOptions& options, Progress& progress,
                                         const std::function<bool()>& stop) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      const QuantizationData data{train_images_, calibration_, validation_,
                                  data_identity(options_, summary_)};
      return quantize_model(model, teacher, data, options, options_, device_, progress, stop);
    });
  }

  network::Tensor logits(const network::Model& model, const network::Tensor& images) override {
    return translated([&] {
      const ComputeScope compute(options_.threads);
      return to_network(model_logits(model, to_torch(images, device_), options_.evaluation.batch));
    });
  }

  LabelledImages validation_images(int64_t count, int64_t resolution) override {
    return translated([&] { return labelled(validation_, 0, count, resolution); });
  }

 private:
  std::pair<double, double> measure_extremes() {
    const auto estimates = evaluator_.evaluate_together({&largest_, &smallest_});
    return {estimates[0].top1, estimates[1].top1};
  }

  /// Recalibrates the network and measures it on the validation split.
  ExtractedModel calibrated(const network::Network& network, ParameterSource& parameters) {
    const Plan plan = make_plan(network);
    const auto moments =
        recalibrate(plan, parameters, calibration_, options_.evaluation.calibration_images,
                    options_.evaluation.batch, options_.evaluation.memory_bytes, [] {});
    ExtractedModel extracted;
    extracted.model = make_model(network, parameters, moments);
    extracted.validation =
        model_accuracy(extracted.model, validation_, options_.evaluation.batch, device_);
    return extracted;
  }

  bool leads() const { return group_ != nullptr && group_->launch().rank == 0; }

  SupernetOptions options_;
  at::Device device_;
  const search::SearchSpace& space_;
  WorkGroup* group_;
  DataSummary summary_;
  Batches train_images_, calibration_, validation_;
  SharedWeights weights_;
  network::Network largest_, smallest_;
  SubnetEvaluator evaluator_;
  SupernetTrainer trainer_;
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
  LabelledImages images(int64_t begin, int64_t count, int64_t resolution) override {
    return translated([&] { return labelled(images_, begin, count, resolution); });
  }

 private:
  SupernetOptions options_;
  at::Device device_;
  Batches images_;
};

/// Without a number of threads the processes of a machine divide its cores.
std::unique_ptr<TorchSupernet> open_supernet(const search::SearchSpace& space,
                                             SupernetOptions options,
                                             const std::filesystem::path& run_folder,
                                             WorkGroup* group) {
  return translated([&] {
    const Launch launch = group == nullptr ? Launch() : group->launch();
    if (options.threads == 0) {
      options.threads = std::max(1, usable_threads(0) / launch.local_size);
    }
    const at::Device device = select_device(options.device, launch.local_rank);
    const OpenedData opened = open_training_files(options);
    check_space(space, opened.info);
    return std::make_unique<TorchSupernet>(space, options, run_folder, opened, device, group);
  });
}

class TorchModule : public SupernetModule {
 public:
  std::unique_ptr<Group> join(const Launch& launch, const SupernetOptions& options) override {
    return translated([&]() -> std::unique_ptr<Group> {
      const at::Device device = select_device(options.device, launch.local_rank);
      return std::make_unique<WorkGroup>(launch, connect(launch, device));
    });
  }

  std::unique_ptr<Supernet> create(const search::SearchSpace& space, const SupernetOptions& options,
                                   const std::filesystem::path& run_folder, Group* group) override {
    auto* work = static_cast<WorkGroup*>(group);
    if (work != nullptr) work->order({WorkOrder::Verb::Create, ""});
    return open_supernet(space, options, run_folder, work);
  }

  void serve(Group& group, const search::SearchSpace& space, const SupernetOptions& options,
             const std::function<bool()>& stop) override {
    auto& work = static_cast<WorkGroup&>(group);
    WorkOrder order = work.next_order();
    while (order.verb == WorkOrder::Verb::Create) {
      order = open_supernet(space, options, {}, &work)->serve(stop);
    }
    if (order.verb != WorkOrder::Verb::End) {
      throw InvariantError("serve: order = " + std::string(1, static_cast<char>(order.verb)) +
                           ", expected a supernet first");
    }
    work.communicator().leave();
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

  void write_torchscript(const network::Model& model, const std::filesystem::path& file,
                         const std::map<std::string, std::string>& metadata) override {
    translated([&] { supernet::write_torchscript(model, file, metadata); });
  }
};

}  // namespace
}  // namespace lathe::supernet

extern "C" __attribute__((visibility("default"))) lathe::supernet::SupernetModule&
lathe_supernet_module_v1() {
  static lathe::supernet::TorchModule module;
  return module;
}
