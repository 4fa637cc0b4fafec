#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "core/progress.h"
#include "core/rng.h"
#include "search/space/search_space.h"
#include "supernet/data/batches.h"
#include "supernet/supernet.h"
#include "supernet/train/checkpoint.h"
#include "supernet/train/optimizer.h"

namespace lathe::supernet {

/// Validation accuracy of the largest and the smallest network, for the records.
using MeasureExtremes = std::function<std::pair<double, double>()>;

/// Trains shared weights by the sandwich rule with in-place distillation (Yu et al., BigNAS, 2020):
/// every step trains the largest network on the labels, then the smallest and some random ones on
/// the largest one's outputs, and takes one optimizer step on the summed gradients. Not
/// thread-safe.
class SandwichTrainer {
 public:
  struct Paths {
    std::filesystem::path checkpoint;
    std::filesystem::path metrics;
  };
  /// The references must outlive the trainer. Reads the checkpoint if there is one.
  /// \throws DataError if it is damaged or of another configuration.
  SandwichTrainer(const search::SearchSpace& space, SharedWeights& weights, const Batches& images,
                  const SupernetOptions& options, Identity identity, Paths paths);

  /// Trains until the end or until `stop` answers true, then saves. See Supernet::train.
  std::vector<EpochRecord> run(Progress& progress, const std::function<bool()>& stop,
                               const MeasureExtremes& measure);

  bool finished() const { return state_.step >= schedule_.total_steps; }
  int64_t step() const { return state_.step; }
  int64_t total_steps() const { return schedule_.total_steps; }

 private:
  double train_step();
  std::vector<int64_t> batch_indices();
  bool loss_is_bad(double loss);
  void roll_back(double loss);
  std::string note() const;  ///< for the progress line
  void record(const MeasureExtremes& measure);
  void save();
  void write_metrics(const std::string& line);
  void restore(const TrainState& state);
  Rng rng() const { return Rng(seed_).derive("attempt", static_cast<uint64_t>(state_.attempt)); }

  const search::SearchSpace& space_;
  SharedWeights& weights_;
  const Batches& images_;
  TrainOptions options_;
  Augmentation augmentation_;
  uint64_t seed_;
  int threads_;
  Identity identity_;
  Paths paths_;
  int64_t steps_per_epoch_ = 1;
  LearningRateSchedule schedule_;
  Sgd optimizer_;
  network::Network largest_, smallest_;
  TrainState state_;
  TrainState saved_;  ///< what a roll-back returns to
  double unsaved_seconds_ = 0;
  int64_t images_since_record_ = 0;
  double seconds_at_record_ = 0;
  int64_t epoch_of_order_ = -1;
  int64_t attempt_of_order_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace lathe::supernet
