#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/rng.h"
#include "network/digest.h"
#include "search/evaluation/candidate.h"
#include "search/evaluation/problem.h"
#include "search/space/search_space.h"

namespace lathe::search {

/// Turns architectures into candidates that are new to the whole search and meet every constraint
/// on counted metrics. New: neither the canonical architecture nor the computation's digest was
/// proposed before. All trying is bounded. Candidates are numbered from 0 in order of proposal. Not
/// thread-safe.
class Proposer {
 public:
  using Generate = std::function<Architecture(Rng&)>;

  Proposer(const SearchSpace& space, const Problem& problem);

  /// Calls `generate` up to `tries` times until it gives a candidate that is new and feasible as
  /// far as counted metrics tell. After some infeasible ones, further ones are repaired: genes move
  /// in random order to those of the smallest architecture, or of the largest where only bounds
  /// from below are broken. Returns nothing if all that fails.
  std::optional<CountedCandidate> propose(const Generate& generate, Rng& rng, int tries = 50);

  /// Draws uniformly from the space; when many draws (up to 200,000) give nothing new and feasible,
  /// takes the first such architecture that differs in one gene from a proposed one. Nothing means:
  /// exhausted.
  std::optional<CountedCandidate> propose_uniform(Rng& rng);

  /// Returns what propose() would make of `architecture`, without its network and without proposing
  /// it; nothing if it is not new or breaks a counted constraint. Counted values are remembered, so
  /// that asking again is cheap.
  std::optional<CountedCandidate> preview(const Architecture& architecture);

  /// Returns what is counted of a canonical architecture, without its network. Remembered, so that
  /// asking again is cheap; the reference holds until the next call.
  const CountedCandidate& remembered(const Architecture& canonical);

  /// Takes in a proposal of the journal, which must be the next one.
  /// \throws DataError if it was proposed before.
  void restore(int64_t index, const Architecture& architecture, const network::Digest& computation);

  int64_t proposed() const { return static_cast<int64_t>(proposals_.size()); }

 private:
  std::optional<CountedCandidate> build_if_new(const Architecture& architecture);
  CountedCandidate accept(CountedCandidate candidate);
  std::optional<CountedCandidate> new_neighbour();
  bool is_too_large(const Metrics& counted) const;
  std::optional<CountedCandidate> repair(const CountedCandidate& broken, Rng& rng);

  const SearchSpace& space_;
  const Problem& problem_;
  std::unordered_set<Architecture, ArchitectureHash> architectures_;
  std::unordered_set<network::Digest, network::DigestHash> computations_;
  std::unordered_set<Architecture, ArchitectureHash> infeasible_;
  std::unordered_map<Architecture, CountedCandidate, ArchitectureHash> previews_;
  std::vector<Architecture> proposals_;
  size_t scanned_ = 0;  ///< proposals whose neighbours are all known
};

}  // namespace lathe::search
