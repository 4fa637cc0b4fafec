#include "search/strategy/random_search.h"

namespace lathe::search {

std::vector<CountedCandidate> RandomSearch::ask(size_t count) {
  std::vector<CountedCandidate> proposals;
  while (proposals.size() < count) {
    Rng rng = context_.rng.derive("uniform", static_cast<uint64_t>(context_.proposer.proposed()));
    auto candidate = context_.proposer.propose_uniform(rng);
    if (!candidate) break;
    proposals.push_back(std::move(*candidate));
  }
  return proposals;
}

}  // namespace lathe::search
