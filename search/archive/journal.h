#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "search/evaluation/evaluators.h"
#include "search/evaluation/metric.h"

namespace lathe::search {

/// One generation of a search, after its last candidate was committed.
struct GenerationRecord {
  int64_t index = 0;
  int64_t evaluations = 0;  ///< committed so far
  double hypervolume =
      0.0;  ///< of the feasible front, as a fraction of the box up to the reference point
  int64_t front_size = 0;
  double best_accuracy = 0.0;  ///< of the feasible candidates; 0 if there is none
  double seconds = 0.0;        ///< of search, summed over resumes
};

/// The record of a search in SQLite: every proposal, accuracy, measurement, generation and strategy
/// state, so that a search killed at any moment continues where it was. WAL with synchronous=FULL:
/// what a committed transaction wrote survives kill -9 and power loss. Not thread-safe.
class Journal {
 public:
  /// The format that this program writes; older ones are brought to it, newer ones refused.
  static constexpr int kSchema = 2;

  struct Proposal {
    int64_t index = 0;
    Architecture architecture;
    network::Digest computation;
    network::Digest structure;
    Metrics counted;   ///< values only; the interval is exact
    int64_t told = 0;  ///< committed evaluations when it was asked for
  };
  struct Accuracy {
    int64_t index = 0;
    Result<AccuracyEstimate> result;
  };
  /// Over the first `parts` parts of the images.
  struct PartialAccuracy {
    int64_t index = 0;
    int64_t parts = 0;
    int64_t correct = 0;
    int64_t images = 0;
  };
  struct Measurement {
    int64_t index = 0;
    std::string device;
    Result<latency::LatencyEstimate> result;
  };
  /// By a coarse plan, before the measurement that counts or instead of it.
  struct CoarseMeasurement {
    int64_t index = 0;
    std::string device;
    latency::LatencyEstimate estimate;
  };
  /// A strategy's own state after `asked` proposals and `told` committed evaluations.
  struct StrategyState {
    int64_t asked = 0;
    int64_t told = 0;
    std::string text;
  };

  /// Opens or makes the journal at `path` (":memory:" keeps nothing) and checks the file.
  /// \throws DataError naming the path and what is wrong: unreadable, corrupt, of another program,
  /// of a newer format.
  explicit Journal(const std::filesystem::path& path);
  ~Journal();
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;

  /// Ties the journal to what must not change between resumes (space, objectives, strategy, seed
  /// ...), by name. \throws ConfigError naming every value that differs from the one the search was
  /// started with.
  void bind(const std::map<std::string, std::string>& identity);

  // Reading. Everything in order of index. \throws DataError for rows that cannot be what lathe
  // wrote.
  std::vector<Proposal> proposals();  ///< contiguous from 0
  std::vector<Accuracy> accuracies();
  std::vector<PartialAccuracy> partial_accuracies();
  std::vector<Measurement> measurements();
  std::vector<CoarseMeasurement> coarse_measurements();
  std::vector<GenerationRecord> generations();
  std::optional<StrategyState> strategy_state();
  std::optional<std::string> note(const std::string& key);

  /// Groups writes: all or nothing. Destroying it without commit() takes them back.
  class Transaction {
   public:
    explicit Transaction(Journal& journal);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    /// Durable when it returns. \throws DataError (disk full) with nothing half written.
    void commit();

   private:
    Journal& journal_;
    bool open_ = true;
  };

  // Writing, inside a Transaction (or alone, each its own). A second value for the same key is
  // refused, except for partial accuracies, generations, notes and the state, which are replaced.
  // \throws DataError.
  void add(const Proposal& proposal);
  void add(const Accuracy& accuracy);
  void add(const PartialAccuracy& accuracy);
  void add(const Measurement& measurement);
  void add(const CoarseMeasurement& measurement);
  void add(const GenerationRecord& generation);
  /// Removes the failed results of candidates from `first_index` on, so that they can be tried
  /// again.
  void forget_failures(int64_t first_index);
  void set_strategy_state(const StrategyState& state);
  void set_note(const std::string& key, const std::string& value);

  /// Called after every commit with the number of commits of this object: fault injection in tests.
  void set_commit_hook(std::function<void(int64_t)> hook);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::search
