#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/progress.h"
#include "core/rng.h"
#include "network/network.h"
#include "supernet/data/batch_prefetcher.h"
#include "supernet/executor/plan.h"
#include "supernet/supernet.h"
#include "supernet/train/checkpoint.h"
#include "supernet/train/optimizer.h"

namespace lathe::supernet {

/// A network to train.
struct TrainedNetwork {
  network::Network network;
  std::vector<network::NodeId> also;        ///< nodes whose values the objective needs
  const network::Weights* start = nullptr;  ///< null: random values
};

/// What the networks of a trainer minimise.
class Objective {
 public:
  virtual ~Objective() = default;
  /// Returns a scalar for each network. `outputs[n]`: the logits [N, classes] of network n, then
  /// the values of its `also`. A loss sends no gradient into another network's outputs.
  virtual std::vector<at::Tensor> losses(const Batch& batch,
                                         const std::vector<std::vector<at::Tensor>>& outputs) = 0;
};

/// Trains networks on the same batches, each with weights of its own: SGD, cosine after a warm-up.
/// A loss or gradient that is not finite takes training back to what was saved last, with other
/// batches and half the rate. Not thread-safe.
class StandaloneTrainer {
 public:
  /// The references must outlive the trainer. Reads the checkpoint if there is one. \throws
  /// DataError if it is damaged or of another training; ConfigError if there are fewer images than
  /// one; InvariantError if `start` lacks a tensor.
  StandaloneTrainer(const std::vector<TrainedNetwork>& networks, Objective& objective,
                    const Batches& images, const SupernetOptions& options,
                    const StandaloneOptions& schedule, Identity identity, at::Device device);

  /// Trains to the end or until `stop` answers true; returns whether it is the end. Either way the
  /// checkpoint, if one is asked for, holds the state. \throws DataError if the loss stays not
  /// finite, or the checkpoint cannot be written.
  bool run(Progress& progress, const std::function<bool()>& stop);

  bool finished() const { return state_.step >= schedule_.total_steps; }
  int64_t step() const { return state_.step; }
  int64_t total_steps() const { return schedule_.total_steps; }
  /// The weights of network `n`.
  SharedWeights& weights(size_t n) { return students_[n]->weights; }

 private:
  struct Student {
    Student(const TrainedNetwork& trained, uint64_t seed, const SgdOptions& sgd, at::Device device);
    Plan plan;
    SharedWeights weights;
    Sgd optimizer;
  };

  /// Returns the sum of the losses, not finite if the step was not taken.
  double train_step();
  void roll_back(double loss);
  void save();
  void restore(const TrainState& state);
  /// Batches from the state's step on.
  void start_batches();
  Rng rng() const { return Rng(seed_).derive("attempt", static_cast<uint64_t>(state_.attempt)); }

  Objective& objective_;
  const Batches& images_;
  BatchPrefetcher batches_;
  TrainOptions options_;
  StandaloneOptions standalone_;
  Identity identity_;
  uint64_t seed_;
  int64_t batch_size_;
  int64_t steps_per_epoch_;
  LearningRateSchedule schedule_;
  std::vector<std::unique_ptr<Student>> students_;
  TrainState state_;  ///< without the tensors, which the students hold
  TrainState saved_;  ///< what a roll-back returns to
};

}  // namespace lathe::supernet
