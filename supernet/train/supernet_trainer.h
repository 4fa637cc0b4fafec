#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/progress.h"
#include "core/rng.h"
#include "search/space/search_space.h"
#include "supernet/data/batch_prefetcher.h"
#include "supernet/executor/executor.h"
#include "supernet/supernet.h"
#include "supernet/train/checkpoint.h"
#include "supernet/train/data_parallel.h"
#include "supernet/train/optimizer.h"
#include "supernet/train/subnet_sampler.h"
#include "supernet/train/teacher.h"

namespace lathe::supernet {

/// Validation accuracy of the largest and the smallest network, for the records.
using MeasureExtremes = std::function<std::pair<double, double>()>;

/// Trains shared weights: every step trains the subnets that the sampler draws and takes one
/// optimizer step on their summed gradients. Training that goes wrong (a value that is not finite,
/// a loss that rises far) is rolled back to the last state of a fixed number of steps that was
/// well, where it goes on with other batches and half the learning rate. Not thread-safe.
class SupernetTrainer {
 public:
  struct Paths {
    std::filesystem::path checkpoint;
    std::filesystem::path metrics;
  };
  /// The references must outlive the trainer. Reads the checkpoint if there is one. `group`: those
  /// who train together, each with a trainer of its own; rank 0 alone reads and writes files, and
  /// `stop` is agreed on after every step.
  /// \throws DataError if the checkpoint is damaged or of another configuration; ConfigError if
  /// the processes' configurations differ.
  SupernetTrainer(const search::SearchSpace& space, SharedWeights& weights, const Batches& images,
                  const SupernetOptions& options, Identity identity, Paths paths,
                  Communicator* group = nullptr);

  /// Trains until the end or until `stop` answers true, then saves. See Supernet::train.
  std::vector<EpochRecord> run(Progress& progress, const std::function<bool()>& stop,
                               const MeasureExtremes& measure);

  bool finished() const { return state_.step >= total_steps_; }
  int64_t step() const { return state_.step; }
  int64_t total_steps() const { return total_steps_; }

 private:
  /// Returns the loss of the step's first network; what is not finite stops the step half-way.
  double train_step();
  void add_norm(SubnetRole role, const TrainableSlices& slices);
  void average_weights(const TrainingPhase& phase);
  at::Tensor lesson_loss(const DrawnSubnet& subnet, const at::Tensor& logits, const Batch& batch,
                         const at::Tensor& taught) const;
  /// What begins with the phase that begins at this step: see TrainingPhase.
  void begin_phase(const TrainingPhase& phase);
  network::Network lowered(const DrawnSubnet& subnet) const;
  double loss_without_gradients(const search::Architecture& architecture, const Batch& batch) const;
  /// Prepares the batches from this step on; what was prepared before is thrown away.
  void prepare_batches();
  bool is_time_to_save() const;
  bool loss_is_bad(double loss);
  /// How far above the best smoothed loss is bad.
  double allowed_rise() const;
  /// Makes the state what a roll-back returns to, every so many steps and if `loss` is well: by no
  /// clock, so that a training that was interrupted returns to the same.
  void keep_if_good(double loss);
  std::shared_ptr<TrainState> copy_of_state() const;
  void roll_back(double loss);
  void settle_teacher();
  /// Of the learning rate: each roll-back halves it.
  double rate_factor() const;
  std::string note() const;  ///< for the progress line
  void record(const MeasureExtremes& measure);
  /// What `measure` says of the averaged weights, if there are any.
  std::pair<double, double> measured(const MeasureExtremes& measure);
  /// At the end the averaged weights, if there are any, become the weights.
  void settle();
  void save();
  void write_metrics(const std::string& line);
  void restore(const TrainState& state);
  Rng rng() const { return Rng(seed_).derive("attempt", static_cast<uint64_t>(state_.attempt)); }

  const search::SearchSpace& space_;
  SharedWeights& weights_;
  const Batches& images_;
  TrainOptions options_;
  BatchPrefetcher batches_;
  std::shared_ptr<const network::Model> given_teacher_;
  uint64_t seed_;
  int threads_;
  Identity identity_;
  Paths paths_;
  DataParallel parallel_;
  int64_t steps_per_epoch_ = 1;
  std::unique_ptr<SubnetSampler> sampler_;
  int64_t total_steps_ = 1;
  Sgd optimizer_;
  network::Network largest_, smallest_;
  Teacher teacher_;
  TrainState state_;
  int64_t images_since_record_ = 0;
  double seconds_at_record_ = 0;
  double last_save_s_ = 0;      ///< when, by the steady clock
  double save_interval_s_ = 0;  ///< that keeps saving below 2 % of the time
  std::string trouble_;         ///< why the last loss was bad
};

}  // namespace lathe::supernet
