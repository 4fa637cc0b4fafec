#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/rng.h"
#include "search/evaluation/candidate.h"
#include "search/evaluation/problem.h"
#include "search/space/search_space.h"
#include "search/strategy/proposer.h"
#include "search/strategy/search_options.h"

namespace lathe::search {

struct SearchOutcome;

/// What a strategy works with. Everything is owned by the controller and outlives the strategy.
struct StrategyContext {
  const SearchSpace& space;
  const Problem& problem;
  /// The committed evaluations so far, in order of index; grows by one before every tell().
  const std::vector<Evaluated>& history;
  Proposer& proposer;  ///< makes new candidates, each once in the whole search
  Rng rng;  ///< root of the strategy's streams: derive() by index, so that no position is to be
            ///< saved
  /// The hypervolume's reference point, empty until it is fixed; null: the strategy chooses its
  /// own.
  const Objectives* reference = nullptr;
};

/// Proposes candidates and learns from their values. The controller alternates ask() and tell() in
/// an order that depends on no timing, and tells every candidate in order of index, failed ones
/// too. Not thread-safe.
class Strategy {
 public:
  virtual ~Strategy() = default;

  /// Returns up to `count` new candidates, made by the context's proposer. Fewer, and not
  /// waiting(): there are no further ones.
  virtual std::vector<CountedCandidate> ask(size_t count) = 0;

  /// Takes in the last element of the context's history.
  virtual void tell(const Evaluated& evaluated) = 0;

  /// True while nothing can be asked before more of what was asked is told.
  virtual bool waiting() const { return false; }

  /// Adds to `outcome` what only this strategy has found out.
  virtual void add_findings(SearchOutcome& /*outcome*/) const {}

  /// Returns what load_state() of a new object over the same history needs to go on exactly as this
  /// one would.
  virtual std::string save_state() const = 0;
  /// \throws DataError if `text` does not fit the history.
  virtual void load_state(const std::string& text) = 0;
};

/// The names that make_strategy knows.
std::vector<std::string> strategy_names();

/// Returns what the strategy expects of the space and does not find there, or nothing.
std::string strategy_fault(const StrategyOptions& options, const SearchSpace& space);

/// \throws ConfigError listing the names if there is none called `options.name`, or with what the
/// strategy expects of the space or the problem and does not find there.
std::unique_ptr<Strategy> make_strategy(const StrategyOptions& options,
                                        const StrategyContext& context);

// Shared by the strategies.

/// Returns a candidate of the first generation: uniform, but with the smallest and the largest
/// architecture in front if so configured. Nothing: the space is exhausted.
std::optional<CountedCandidate> propose_first(const StrategyOptions& options,
                                              const StrategyContext& context, Rng& rng);

/// Returns the configured probability per active gene, by default one over the number of genes.
double mutation_probability(const StrategyOptions& options, const SearchSpace& space);

}  // namespace lathe::search
