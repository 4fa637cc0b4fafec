#pragma once

// The supernet behind a torch-free header. The implementation is the shared module
// liblathe_supernet.so, loaded on demand: commands that do not train start in milliseconds.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/progress.h"
#include "network/network.h"
#include "network/pruning/criteria.h"
#include "search/evaluation/evaluators.h"
#include "search/space/search_space.h"
#include "supernet/data/augmentation.h"
#include "supernet/distributed/launch.h"
#include "supernet/quantize_options.h"
#include "supernet/standalone.h"

namespace lathe::supernet {

struct DataOptions {
  std::string dataset = "fashion_mnist";
  std::filesystem::path path;   ///< empty: the dataset's usual places
  std::filesystem::path cache;  ///< of decoded images; empty: the user's cache folder
  int64_t resolution = 0;  ///< of folder and csv: images are brought to this size; 0: as they are
  int64_t channels = 3;    ///< of folder and csv: 3 RGB, 1 grey
  bool verify = true;      ///< of cifar10 and cifar100: must be what was published
  int64_t validation = 5000;   ///< images held out of train for the search
  int64_t calibration = 2000;  ///< images held out of train for BN recalibration and quantisation
  int64_t train_limit = 0;     ///< use only so many training images; 0: all
  Augmentation augmentation = {Augmentation::kAutomatic, true};
};

/// The names that data.dataset may have.
const std::vector<std::string>& dataset_names();

/// Which subnets a training step trains: see supernet/train/samplers.h.
struct SamplerOptions {
  std::string name = "sandwich";  ///< sandwich, attentive, uniform, fair, progressive
  int64_t smallest_every = 1;     ///< sandwich, attentive: steps from one smallest to the next
  int64_t candidates = 3;         ///< attentive: networks that one is chosen from
  bool train_worst = false;       ///< attentive: the worst of them instead of the best
};

/// A trained network that the labels are joined by. Progressive shrinking has its own.
struct TeacherOptions {
  std::filesystem::path model;  ///< ONNX file; empty: none
  double weight = 0.5;          ///< of the teacher's outputs in the loss; the labels have the rest
  double temperature = 1.0;
};

/// Of the products in convolutions and linear layers while training. Weights, batch norm, losses
/// and sums stay float, and evaluation is in float always.
enum class Precision { Fp32, Bf16 };

struct TrainOptions {
  double epochs = 12;
  SamplerOptions sampler;
  int64_t random_subnets = 2;  ///< per step; sandwich and attentive: besides largest and smallest
  int64_t batch = 128;
  double learning_rate = 0.1;  ///< at the given batch; cosine to zero after the warm-up
  double warmup_epochs = 1;
  double momentum = 0.9;
  double weight_decay = 1e-4;  ///< not on BN and biases
  double label_smoothing = 0.0;
  double gradient_clip = 1.0;     ///< by value; 0: none
  double dropout = 0.0;           ///< before the classifier, of the largest network alone
  double drop_connect = 0.0;      ///< of the last residual branch, earlier ones less; the same
  double ema = 0.0;               ///< decay of averaged weights, which are the result; 0: none
  bool kernel_transform = false;  ///< smaller kernels are learned maps of larger ones' centres
  TeacherOptions teacher;
  Precision precision = Precision::Fp32;
  double checkpoint_interval_s = 1;  ///< longer where saving would take more than 2 % of the time
};

struct EvaluationOptions {
  int64_t batch = 250;
  int64_t calibration_images = 2000;  ///< BN recalibration; at most the calibration split
  int64_t memory_bytes = int64_t{1}
                         << 30;  ///< bound of the activations of one forest of candidates
};

struct SupernetOptions {
  DataOptions data;
  TrainOptions train;
  EvaluationOptions evaluation;
  std::shared_ptr<const network::Model> teacher;  ///< what train.teacher.model holds
  uint64_t seed = 1;
  int threads = 0;              ///< 0: all usable cores
  std::string device = "auto";  ///< auto, cpu, cuda
};

/// Reads the config sections `data` and `supernet` (and `run.seed`), recording faults in their
/// document.
DataOptions read_data_options(ConfigSection section);
void read_supernet_options(ConfigSection section, SupernetOptions& options);

/// What is known of the data after it was opened. The test part is empty but in inspect_data's
/// answer: a Supernet never touches the test files.
struct DataSummary {
  std::string dataset;
  int64_t channels = 0, height = 0, width = 0, classes = 0;
  int64_t train = 0, calibration = 0, validation = 0, test = 0;
  std::string train_hash, calibration_hash, validation_hash, test_hash;  ///< of the image indices
  std::vector<std::string> class_names;
  std::vector<int64_t> train_per_class, validation_per_class;  ///< images of each class
  std::vector<double> mean,
      standard_deviation;  ///< per channel, of pixels scaled to 0..1: the normalisation
};

struct EpochRecord {
  double epoch = 0;
  double learning_rate = 0;
  double loss = 0;  ///< mean training loss since the last record of each step's first network
  double top1_largest = 0;  ///< on the search-validation split, recalibrated
  double top1_smallest = 0;
  double seconds = 0;       ///< of training, summed over resumes
  double images_per_s = 0;  ///< training images (each in all its subnets)
};

/// A standalone network with trained values and recalibrated BN statistics.
struct ExtractedModel {
  network::Model model;
  search::AccuracyEstimate validation;
};

/// Images and labels for parity checks: float NCHW, normalised as the network expects.
struct LabelledImages {
  network::Tensor images;
  std::vector<int64_t> labels;
};

/// One trained weight-sharing network over a search space. Not thread-safe, except that its
/// evaluator may be used while nothing else is.
class Supernet {
 public:
  virtual ~Supernet() = default;

  virtual const DataSummary& data() const = 0;

  /// Trains from the last checkpoint in the run folder, or from the start; writes
  /// supernet/checkpoint.pt and supernet/metrics.jsonl there. Returns the records of all epochs,
  /// earlier processes' included. Stops early with nothing lost when `stop` returns true: a later
  /// call continues bit by bit. \throws DataError if the checkpoint is of another configuration or
  /// the disk is full.
  virtual std::vector<EpochRecord> train(Progress& progress, const std::function<bool()>& stop) = 0;
  virtual bool trained() const = 0;

  /// Accuracy on the search-validation split with BN recalibrated for each candidate. Valid while
  /// this lives.
  virtual search::AccuracyEvaluator& evaluator() = 0;

  /// Copies a subnet's slices and recalibrated statistics into a model of its own.
  virtual ExtractedModel extract(const network::Network& subnet) = 0;

  /// Trains the lesson's students, each alone or with the others, on the training split; then
  /// recalibrates and measures them as extract() does. Returns nothing if `stop` answered true
  /// first: a later call continues from the lesson's checkpoint, bit by bit. \throws ConfigError if
  /// a network does not fit the data; DataError if the checkpoint is of another lesson, or the loss
  /// stays not finite.
  virtual std::vector<ExtractedModel> train_alone(const Lesson& lesson, Progress& progress,
                                                  const std::function<bool()>& stop) = 0;

  /// Trains an extracted model further, distilling from `teacher` if given, to the end.
  using FineTuneOptions = StandaloneOptions;
  ExtractedModel fine_tune(const network::Model& model, const network::Model* teacher,
                           const FineTuneOptions& options, Progress& progress) {
    Lesson lesson{{model}, {}, options};
    if (teacher != nullptr) lesson.teachers = {teacher};
    return train_alone(lesson, progress, [] { return false; }).front();
  }

  /// Measures a float model as it is on the validation split.
  virtual search::AccuracyEstimate accuracy(const network::Model& model) = 0;

  /// What the outcome of train_alone() depends on besides the lesson: data and optimiser, as lines.
  virtual std::string training_identity() const = 0;

  /// Returns the model with its BN statistics recalibrated, measured on the validation split.
  virtual ExtractedModel calibrate(const network::Model& model) = 0;

  /// How important the channels of a model are; criteria of images look at the calibration split.
  struct ChannelScoreOptions {
    network::PruneCriterion criterion = network::PruneCriterion::Taylor;
    int64_t images = 1000;  ///< at most the calibration split
    uint64_t seed = 1;      ///< of the random control
  };
  virtual network::ChannelScores channel_scores(const network::Model& model,
                                                const std::vector<network::ChannelGroup>& groups,
                                                const ChannelScoreOptions& options) = 0;

  /// Makes an int8 model of a float one. Ranges, biases and sensitivities come from the calibration
  /// split, training from the train split (and `teacher`, if given), accuracies of the report from
  /// the validation split; there is no way to give it other images.
  /// Returns nothing if `stop` answered true first: a later call continues the training from its
  /// folder, bit by bit.
  virtual std::optional<QuantizedModel> quantize(const network::Model& model,
                                                 const network::Model* teacher,
                                                 const QuantizeOptions& options, Progress& progress,
                                                 const std::function<bool()>& stop) = 0;

  /// The same, to the end.
  QuantizedModel quantize(const network::Model& model, const network::Model* teacher,
                          const QuantizeOptions& options, Progress& progress) {
    return std::move(*quantize(model, teacher, options, progress, [] { return false; }));
  }

  /// Logits of a model on images of the validation split (never test): for parity with an export.
  virtual network::Tensor logits(const network::Model& model, const network::Tensor& images) = 0;
  virtual LabelledImages validation_images(int64_t count, int64_t resolution) = 0;
};

/// The only way to the test split; a separate type that the search never gets. Opening it is
/// recorded in `ledger` (a file of the run folder).
class TestSplit {
 public:
  virtual ~TestSplit() = default;
  virtual search::AccuracyEstimate accuracy(const network::Model& model) = 0;
  /// The images from `begin` on, at most `count`; none behind the last one.
  virtual LabelledImages images(int64_t begin, int64_t count, int64_t resolution) = 0;
};

/// The processes that share a supernet's work, as one of them sees them. Rank 0 does everything
/// that a process alone would do, and calls on the others to train and evaluate with it. If one of
/// them dies or stops answering, what the others are at throws PeerError. Not thread-safe.
class Group {
 public:
  virtual ~Group() = default;
  virtual const Launch& launch() const = 0;
  /// Tells the others why this process gives up. Does not throw.
  virtual void give_up(const std::string& reason) noexcept = 0;
  /// Rank 0: there is no more work; serve() of the others returns.
  virtual void end() = 0;
};

/// Entry points of the module.
class SupernetModule {
 public:
  virtual ~SupernetModule() = default;
  /// Meets the other processes of `launch`. \throws PeerError if they do not come; ConfigError if
  /// LibTorch cannot.
  virtual std::unique_ptr<Group> join(const Launch& launch, const SupernetOptions& options) = 0;
  /// Every rank but 0: does what rank 0 calls for until it ends the work. Nothing is written.
  /// `stop` as in Supernet::train, where one process's wish stops all.
  virtual void serve(Group& group, const search::SearchSpace& space, const SupernetOptions& options,
                     const std::function<bool()>& stop) = 0;

  /// Opens the training files (checking every image and label) and builds the shared weights. Rank
  /// 0 of a group may pass it: train() and evaluator() then share their work. It must outlive the
  /// supernet. \throws DataError naming the package, path, file and index of what is wrong.
  virtual std::unique_ptr<Supernet> create(const search::SearchSpace& space,
                                           const SupernetOptions& options,
                                           const std::filesystem::path& run_folder,
                                           Group* group = nullptr) = 0;
  virtual std::unique_ptr<TestSplit> open_test_split(const SupernetOptions& options,
                                                     const std::filesystem::path& ledger) = 0;
  /// Opens the data only, to check it before anything long starts: the training files whole, of the
  /// test files the headers.
  virtual DataSummary inspect_data(const SupernetOptions& options) = 0;
  /// Gets a data set that can be got, into `folder` (empty: the usual place). Returns where it is;
  /// nothing is done if it is there. \throws DataError saying how to get one that cannot be
  /// fetched, or what went wrong.
  virtual std::filesystem::path fetch_data(const std::string& dataset,
                                           const std::filesystem::path& folder) = 0;
  /// Writes a float model as a TorchScript file, whole or not at all, with `metadata` as its extra
  /// files; see supernet/export/torchscript.h. \throws ConfigError if the model is quantised;
  /// DataError naming the file and the reason if it cannot be written.
  virtual void write_torchscript(const network::Model& model, const std::filesystem::path& file,
                                 const std::map<std::string, std::string>& metadata = {}) = 0;
};

/// Loads liblathe_supernet.so: the file named by the environment variable LATHE_SUPERNET_MODULE, or
/// from beside the program, ../lib or ../lib/lathe. Loaded once; thread-safe. \throws Error naming
/// the places if it is missing.
SupernetModule& load_supernet_module();

}  // namespace lathe::supernet
