#include "supernet/train/samplers.h"

#include <algorithm>
#include <cmath>

#include "network/cost.h"

namespace lathe::supernet {
namespace {

/// Networks whose MACs an epoch's attentive sampling chooses among.
constexpr int64_t kPool = 2048;
/// Neighbours in the pool, on either side, that count as of one budget: about 3 % of all networks.
constexpr int64_t kNeighbours = 32;

}  // namespace

SandwichSampler::SandwichSampler(const search::SearchSpace& space, const TrainOptions& options,
                                 int64_t steps_per_epoch)
    : SubnetSampler(one_phase(options, steps_per_epoch)),
      space_(space),
      random_subnets_(options.random_subnets),
      smallest_every_(options.sampler.smallest_every) {}

std::vector<DrawnSubnet> SandwichSampler::draw(int64_t step, Rng& rng, const TryLoss& loss_of) {
  std::vector<DrawnSubnet> subnets;
  subnets.push_back({space_.largest(), SubnetRole::Largest, LearnsFrom::Labels, true});
  for (int64_t s = 0; s < random_subnets_; ++s) {
    subnets.push_back({draw_random(step, rng, loss_of), SubnetRole::Random, LearnsFrom::Largest});
  }
  if (step % smallest_every_ == 0) {
    subnets.push_back({space_.smallest(), SubnetRole::Smallest, LearnsFrom::Largest});
  }
  return subnets;
}

search::Architecture SandwichSampler::draw_random(int64_t, Rng& rng, const TryLoss&) {
  return space_.sample_genes(rng);
}

AttentiveSampler::AttentiveSampler(const search::SearchSpace& space, const TrainOptions& options,
                                   int64_t steps_per_epoch, uint64_t seed)
    : SandwichSampler(space, options, steps_per_epoch),
      candidates_(options.sampler.candidates),
      worst_(options.sampler.train_worst),
      steps_per_epoch_(steps_per_epoch),
      seed_(seed) {}

void AttentiveSampler::make_pool(int64_t epoch) {
  const Rng root = Rng(seed_).derive("attentive pool", static_cast<uint64_t>(epoch));
  std::vector<std::pair<int64_t, search::Architecture>> drawn;
  for (uint64_t i = 0; i < kPool; ++i) {
    Rng rng = root.derive("network", i);
    search::Architecture architecture = space().sample_genes(rng);
    const int64_t macs = network::cost(space().lower(architecture)).macs;
    drawn.emplace_back(macs, std::move(architecture));
  }
  std::sort(drawn.begin(), drawn.end());
  pool_.clear();
  for (auto& [macs, architecture] : drawn) pool_.push_back(std::move(architecture));
  epoch_of_pool_ = epoch;
}

search::Architecture AttentiveSampler::draw_random(int64_t step, Rng& rng, const TryLoss& loss_of) {
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != epoch_of_pool_) make_pool(epoch);
  const int64_t center = rng.integer(kNeighbours, kPool - 1 - kNeighbours);
  const search::Architecture* chosen = nullptr;
  double chosen_loss = 0.0;
  for (int64_t c = 0; c < candidates_; ++c) {
    const int64_t at = center + rng.integer(-kNeighbours, kNeighbours);
    const search::Architecture& candidate = pool_[static_cast<size_t>(at)];
    const double loss = loss_of(candidate);
    if (chosen == nullptr || (worst_ ? loss > chosen_loss : loss < chosen_loss)) {
      chosen = &candidate;
      chosen_loss = loss;
    }
  }
  return *chosen;
}

UniformSampler::UniformSampler(const search::SearchSpace& space, const TrainOptions& options,
                               int64_t steps_per_epoch)
    : SubnetSampler(one_phase(options, steps_per_epoch)),
      space_(space),
      random_subnets_(std::max<int64_t>(1, options.random_subnets)) {}

std::vector<DrawnSubnet> UniformSampler::draw(int64_t, Rng& rng, const TryLoss&) {
  std::vector<DrawnSubnet> subnets;
  for (int64_t s = 0; s < random_subnets_; ++s) subnets.push_back({space_.sample_genes(rng)});
  return subnets;
}

FairSampler::FairSampler(const search::SearchSpace& space, const TrainOptions& options,
                         int64_t steps_per_epoch, uint64_t seed)
    : SubnetSampler(one_phase(options, steps_per_epoch)), space_(space), seed_(seed) {
  for (const search::Gene& gene : space.genes()) {
    subnets_ = std::max(subnets_, static_cast<int64_t>(gene.options.size()));
  }
}

size_t FairSampler::option(size_t gene, int64_t position) const {
  const auto count = static_cast<int64_t>(space_.genes()[gene].options.size());
  std::vector<size_t> turn(static_cast<size_t>(count));
  for (size_t i = 0; i < turn.size(); ++i) turn[i] = i;
  Rng rng = Rng(seed_)
                .derive("fair gene", static_cast<uint64_t>(gene))
                .derive("turn", static_cast<uint64_t>(position / count));
  rng.shuffle(turn);
  return turn[static_cast<size_t>(position % count)];
}

std::vector<DrawnSubnet> FairSampler::draw(int64_t step, Rng&, const TryLoss&) {
  std::vector<DrawnSubnet> subnets;
  for (int64_t s = 0; s < subnets_; ++s) {
    search::Architecture architecture;
    for (size_t gene = 0; gene < space_.genes().size(); ++gene) {
      architecture.genes.push_back(static_cast<uint16_t>(option(gene, step * subnets_ + s)));
    }
    subnets.push_back({space_.canonical(architecture)});
  }
  return subnets;
}

}  // namespace lathe::supernet
