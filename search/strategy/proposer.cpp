#include "search/strategy/proposer.h"

#include <algorithm>
#include <numeric>

namespace lathe::search {
namespace {

constexpr int64_t kMostDraws = 200'000;
constexpr int64_t kDrawsAProposal = 15;
constexpr int64_t kFewestDraws = 1000;
constexpr int kInfeasibleBeforeRepair = 20;
constexpr int kMostInfeasible = 100;
constexpr size_t kMostPreviews = 50'000;

}  // namespace

Proposer::Proposer(const SearchSpace& space, const Problem& problem)
    : space_(space), problem_(problem) {}

std::optional<CountedCandidate> Proposer::build_if_new(const Architecture& architecture) {
  const Architecture canonical = space_.canonical(architecture);
  if (architectures_.count(canonical) != 0) return std::nullopt;
  CountedCandidate built = make_candidate(space_, canonical, proposed());
  if (computations_.count(built.candidate.computation) != 0) {
    architectures_.insert(
        canonical);  // another spelling of a known network: not to be lowered again
    return std::nullopt;
  }
  return built;
}

CountedCandidate Proposer::accept(CountedCandidate candidate) {
  architectures_.insert(candidate.candidate.architecture);
  computations_.insert(candidate.candidate.computation);
  proposals_.push_back(candidate.candidate.architecture);
  return candidate;
}

std::optional<CountedCandidate> Proposer::propose(const Generate& generate, Rng& rng, int tries) {
  int infeasible = 0;
  for (int i = 0; i < tries && infeasible < kMostInfeasible; ++i) {
    std::optional<CountedCandidate> built = build_if_new(generate(rng));
    if (!built) continue;
    if (problem_.counted_violation(built->counted) == 0.0) return accept(std::move(*built));
    if (++infeasible < kInfeasibleBeforeRepair && i + 1 < tries) continue;
    if (auto repaired = repair(*built, rng)) return repaired;
  }
  return std::nullopt;
}

bool Proposer::is_too_large(const Metrics& counted) const {
  return std::any_of(problem_.constraints.begin(), problem_.constraints.end(),
                     [&](const Constraint& constraint) {
                       return is_counted(constraint.metric.kind) && constraint.at_most &&
                              !constraint.satisfied(counted.at(constraint.metric).value);
                     });
}

std::optional<CountedCandidate> Proposer::repair(const CountedCandidate& broken, Rng& rng) {
  const Architecture& architecture = broken.candidate.architecture;
  const Architecture target = is_too_large(broken.counted) ? space_.smallest() : space_.largest();
  std::vector<size_t> order(architecture.genes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  rng.shuffle(order);
  Architecture moved = architecture;
  for (const size_t gene : order) {
    if (moved.genes[gene] == target.genes[gene]) continue;
    moved.genes[gene] = target.genes[gene];
    std::optional<CountedCandidate> built = build_if_new(moved);
    if (built && problem_.counted_violation(built->counted) == 0.0)
      return accept(std::move(*built));
  }
  return std::nullopt;
}

std::optional<CountedCandidate> Proposer::propose_uniform(Rng& rng) {
  const int64_t known = static_cast<int64_t>(architectures_.size()) + 1;
  const int64_t draws = std::min(kMostDraws, std::max(kFewestDraws, kDrawsAProposal * known));
  const auto sample = [this](Rng& r) { return space_.sample(r); };
  if (auto drawn = propose(sample, rng, static_cast<int>(draws))) return drawn;
  return new_neighbour();
}

std::optional<CountedCandidate> Proposer::new_neighbour() {
  const std::vector<Gene>& genes = space_.genes();
  for (; scanned_ < proposals_.size(); ++scanned_) {
    for (size_t gene = 0; gene < genes.size(); ++gene) {
      Architecture neighbour = proposals_[scanned_];
      for (size_t option = 0; option < genes[gene].options.size(); ++option) {
        neighbour.genes[gene] = static_cast<uint16_t>(option);
        const Architecture canonical = space_.canonical(neighbour);
        if (infeasible_.count(canonical) != 0) continue;
        std::optional<CountedCandidate> built = build_if_new(canonical);
        if (!built) continue;
        if (problem_.counted_violation(built->counted) == 0.0) return accept(std::move(*built));
        infeasible_.insert(canonical);
      }
    }
  }
  return std::nullopt;
}

const CountedCandidate& Proposer::remembered(const Architecture& canonical) {
  const auto known = previews_.find(canonical);
  if (known != previews_.end()) return known->second;
  if (previews_.size() >= kMostPreviews) previews_.clear();
  CountedCandidate built = make_candidate(space_, canonical, 0);
  built.candidate.network.reset();
  return previews_.emplace(canonical, std::move(built)).first->second;
}

std::optional<CountedCandidate> Proposer::preview(const Architecture& architecture) {
  const Architecture canonical = space_.canonical(architecture);
  if (architectures_.count(canonical) != 0) return std::nullopt;
  const CountedCandidate& known = remembered(canonical);
  if (computations_.count(known.candidate.computation) != 0) return std::nullopt;
  if (problem_.counted_violation(known.counted) > 0.0) return std::nullopt;
  return known;
}

void Proposer::restore(int64_t index, const Architecture& architecture,
                       const network::Digest& computation) {
  if (index != proposed()) {
    throw InvariantError("Proposer::restore: index = " + std::to_string(index) + ", expected " +
                         std::to_string(proposed()));
  }
  if (!architectures_.insert(architecture).second || !computations_.insert(computation).second) {
    throw DataError("search journal: proposal " + std::to_string(index) + " = " +
                    architecture.to_string() + " stands twice, expected new ones only");
  }
  proposals_.push_back(architecture);
}

}  // namespace lathe::search
