#pragma once

// The supernet behind a torch-free header. The implementation is the shared module
// liblathe_supernet.so, loaded on demand: commands that do not train start in milliseconds.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/progress.h"
#include "network/network.h"
#include "search/evaluation/evaluators.h"
#include "search/space/search_space.h"
#include "supernet/data/augmentation.h"

namespace lathe::supernet {

struct DataOptions {
  std::string dataset = "fashion_mnist";
  std::filesystem::path path;  ///< empty: the dataset's usual places
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

struct TrainOptions {
  double epochs = 12;
  std::string sampler = "sandwich";
  int64_t random_subnets = 2;  ///< per step, besides largest and smallest
  int64_t batch = 128;
  double learning_rate = 0.1;  ///< at the given batch; cosine to zero after the warm-up
  double warmup_epochs = 1;
  double momentum = 0.9;
  double weight_decay = 1e-4;  ///< not on BN and biases
  double label_smoothing = 0.0;
  double gradient_clip = 1.0;  ///< by value; 0: none
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
  double loss_largest = 0;  ///< mean training loss since the last record
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

  /// Trains an extracted model further alone (cosine from `learning_rate`), distilling from
  /// `teacher` if given.
  struct FineTuneOptions {
    double epochs = 1;
    double learning_rate = 0.02;
    uint64_t seed = 1;
  };
  virtual ExtractedModel fine_tune(const network::Model& model, const network::Model* teacher,
                                   const FineTuneOptions& options, Progress& progress) = 0;

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
  virtual LabelledImages images(int64_t count, int64_t resolution) = 0;
};

/// Entry points of the module.
class SupernetModule {
 public:
  virtual ~SupernetModule() = default;
  /// Opens the training files (checking every image and label) and builds the shared weights.
  /// \throws DataError naming the package, path, file and index of what is wrong.
  virtual std::unique_ptr<Supernet> create(const search::SearchSpace& space,
                                           const SupernetOptions& options,
                                           const std::filesystem::path& run_folder) = 0;
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
};

/// Loads liblathe_supernet.so: the file named by the environment variable LATHE_SUPERNET_MODULE, or
/// from beside the program, ../lib or ../lib/lathe. Loaded once; thread-safe. \throws Error naming
/// the places if it is missing.
SupernetModule& load_supernet_module();

}  // namespace lathe::supernet
