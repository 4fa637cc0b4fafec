#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::supernet {

/// What a subnet is to the space, for the records.
enum class SubnetRole { Largest, Random, Smallest };
const char* to_string(SubnetRole role);  ///< "largest", ...

/// What a subnet learns from.
enum class LearnsFrom {
  Labels,   ///< the labels, and the teacher's outputs where there is a teacher
  Largest,  ///< the outputs of the step's largest network, which comes before it
};

/// One forward and backward pass of a step.
struct DrawnSubnet {
  search::Architecture architecture;
  SubnetRole role = SubnetRole::Random;
  LearnsFrom learns_from = LearnsFrom::Labels;
  bool regularised = false;  ///< dropout and drop-connect apply
};

/// A part of the training with a learning rate schedule of its own (linear warm-up, cosine to
/// zero).
struct TrainingPhase {
  std::string name;
  int64_t first_step = 0;
  int64_t steps = 1;
  int64_t warmup_steps = 0;
  double learning_rate = 0.1;   ///< the peak
  bool takes_teacher = false;   ///< what the largest network is when it begins is the teacher
  bool sorts_channels = false;  ///< the most important channels come first when it begins
};

/// The learning rate of step 0, 1, ...: that of its phase. \throws InvariantError past the end.
double learning_rate_at(const std::vector<TrainingPhase>& phases, int64_t step);
const TrainingPhase& phase_at(const std::vector<TrainingPhase>& phases, int64_t step);

/// The loss of an architecture on the step's batch, without gradients.
using TryLoss = std::function<double(const search::Architecture&)>;

/// Chooses the subnets of every training step. What it draws depends on the step and `rng` alone,
/// so training goes on at any step as if it had never stopped. Not thread-safe.
class SubnetSampler {
 public:
  virtual ~SubnetSampler() = default;
  /// In order; at least one phase, together all steps.
  virtual const std::vector<TrainingPhase>& phases() const { return phases_; }
  /// `rng`: a stream of the step's own. `loss_of` costs a forward pass.
  virtual std::vector<DrawnSubnet> draw(int64_t step, Rng& rng, const TryLoss& loss_of) = 0;

 protected:
  explicit SubnetSampler(std::vector<TrainingPhase> phases) : phases_(std::move(phases)) {}

 private:
  std::vector<TrainingPhase> phases_;
};

/// Returns the sampler that the options name. `seed` is the root of what it draws beyond `rng`.
/// `space` must outlive it.
std::unique_ptr<SubnetSampler> make_sampler(const search::SearchSpace& space,
                                            const TrainOptions& options, int64_t steps_per_epoch,
                                            uint64_t seed);

}  // namespace lathe::supernet
