#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "supernet/train/optimizer.h"
#include "supernet/train/subnet_sampler.h"

namespace lathe::supernet {

/// The whole training as one phase by the options' epochs, warm-up and rate.
std::vector<TrainingPhase> one_phase(const TrainOptions& options, int64_t steps_per_epoch);

/// The sandwich rule with in-place distillation (Yu et al., BigNAS, 2020): the largest network
/// learns the labels; random ones, then the smallest, learn its outputs. Trained in every
/// step, as there, the smallest learns more than its neighbours and may rank too high: hence
/// options.sampler.smallest_every.
class SandwichSampler : public SubnetSampler {
 public:
  SandwichSampler(const search::SearchSpace& space, const TrainOptions& options,
                  int64_t steps_per_epoch);
  std::vector<DrawnSubnet> draw(int64_t step, Rng& rng, const TryLoss& loss_of) override;

 protected:
  virtual search::Architecture draw_random(int64_t step, Rng& rng, const TryLoss& loss_of);
  const search::SearchSpace& space() const { return space_; }

 private:
  const search::SearchSpace& space_;
  int64_t random_subnets_;
  int64_t smallest_every_;
};

/// The sandwich rule in which each random network is the best (or worst) of several of about the
/// same MACs, judged by its loss on the step's batch: BestUp and WorstUp of AttentiveNAS (Wang et
/// al., 2021). The budget is that of a randomly drawn network, so budgets come up as often as
/// without attention; candidates of a budget are its neighbours in an epoch's pool of random
/// networks ordered by MACs.
class AttentiveSampler : public SandwichSampler {
 public:
  AttentiveSampler(const search::SearchSpace& space, const TrainOptions& options,
                   int64_t steps_per_epoch, uint64_t seed);

 protected:
  search::Architecture draw_random(int64_t step, Rng& rng, const TryLoss& loss_of) override;

 private:
  void make_pool(int64_t epoch);

  int64_t candidates_;
  bool worst_;
  int64_t steps_per_epoch_;
  uint64_t seed_;
  int64_t epoch_of_pool_ = -1;
  std::vector<search::Architecture> pool_;  ///< by MACs
};

/// Single path one-shot (Guo et al., SPOS, 2019): random networks that learn the labels.
class UniformSampler : public SubnetSampler {
 public:
  UniformSampler(const search::SearchSpace& space, const TrainOptions& options,
                 int64_t steps_per_epoch);
  std::vector<DrawnSubnet> draw(int64_t step, Rng& rng, const TryLoss& loss_of) override;

 private:
  const search::SearchSpace& space_;
  int64_t random_subnets_;
};

/// Strict fairness (Chu et al., FairNAS, 2019): a step trains as many networks as the gene with
/// the most options has, and each gene's options come in shuffled turns: any m networks in a row,
/// counted from a turn's beginning, hold each of its m options once.
class FairSampler : public SubnetSampler {
 public:
  FairSampler(const search::SearchSpace& space, const TrainOptions& options,
              int64_t steps_per_epoch, uint64_t seed);
  std::vector<DrawnSubnet> draw(int64_t step, Rng& rng, const TryLoss& loss_of) override;

 private:
  size_t option(size_t gene, int64_t position) const;

  const search::SearchSpace& space_;
  uint64_t seed_;
  int64_t subnets_ = 1;
};

/// Progressive shrinking (Cai et al., Once-for-All, 2020): the largest network alone; then smaller
/// kernels (and other choices of operators), smaller depths, smaller widths are let in, the latter
/// two in halves, with the largest network as it was after the first phase for a teacher. Lengths,
/// learning rates and networks a step are in the paper's proportions.
class ProgressiveSampler : public SubnetSampler {
 public:
  ProgressiveSampler(const search::SearchSpace& space, const TrainOptions& options,
                     int64_t steps_per_epoch);
  std::vector<DrawnSubnet> draw(int64_t step, Rng& rng, const TryLoss& loss_of) override;

 private:
  const search::SearchSpace& space_;
  search::Architecture largest_;
  std::vector<std::vector<uint16_t>> from_largest_;  ///< each gene's options, the largest first
};

}  // namespace lathe::supernet
