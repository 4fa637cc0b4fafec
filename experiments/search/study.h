#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "search/evaluation/candidate.h"
#include "search/evaluation/replay.h"
#include "search/space/cell_space.h"
#include "search/strategy/search_options.h"

namespace lathe::study {

/// Replays `column` of a table whose architectures stand in the column arch_str.
search::ReplayOptions replay(const std::filesystem::path& table, const std::string& column,
                             double scale);

/// NAS-Bench-201 with CIFAR-100 accuracy and the Raspberry Pi 4's latency as a search problem, and
/// what its true front is worth. Architectures that describe one network count once.
class Benchmark {
 public:
  /// \throws DataError if the table cannot be read or lacks a column.
  explicit Benchmark(const std::filesystem::path& table);

  const search::CellSpace& space() const { return space_; }
  search::AccuracyEvaluator& accuracy() { return accuracy_; }
  search::LatencyEvaluator& latency() { return latency_; }
  /// With the reference point of the published figures: 75 ms and 50 %.
  search::SearchOptions options(const std::string& strategy, int64_t evaluations) const;

  /// The hypervolume of these architectures, in percent of the one of all.
  double quality(const std::vector<search::Architecture>& architectures) const;

  int64_t networks() const;    ///< distinct ones in the table
  int64_t front_size() const;  ///< of the true front
  /// SHA-256 of the table's file, in hexadecimal.
  const std::string& table_digest() const { return table_digest_; }

 private:
  std::vector<search::Objectives> true_points(
      const std::vector<search::Architecture>& architectures) const;

  search::CellSpace space_;
  std::string table_digest_;
  search::ReplayAccuracy accuracy_;
  search::ReplayLatency latency_;
  double best_ = 0.0;
};

/// One search and how good its evaluations were after so many of them.
struct Run {
  uint64_t seed = 0;
  int64_t evaluations = 0;
  std::map<int64_t, double> percent;  ///< of the true hypervolume, by number of evaluations
  double seconds = 0.0;               ///< of the whole search, processor and waiting
};

/// Runs the controller with the strategy's published settings and looks back at `checkpoints`
/// (those beyond `evaluations` are left out). A search of n evaluations is the beginning of any
/// longer one with its seed. \throws InvariantError if a network was evaluated twice or an
/// evaluation failed.
Run run_search(Benchmark& benchmark, const std::string& strategy, uint64_t seed,
               int64_t evaluations, const std::vector<int64_t>& checkpoints);

/// How many networks a search reports: `export: networks` of configs/replay_nasbench201.yaml.
constexpr size_t kWinners = 8;

/// Returns the indices of the networks that a run would report, by falling accuracy: kWinners of
/// the front of the feasible ones that are not in `refuted`, spread over it. This is the rule of
/// Exporter::choose() in cli/pipeline; the first two objectives are accuracy and a latency.
std::vector<size_t> choose_winners(const std::vector<search::Evaluated>& evaluated,
                                   const search::Problem& problem, const std::set<size_t>& refuted);

/// A mean with its standard deviation over seeds.
struct Figure {
  double mean = 0.0;
  double deviation = 0.0;  ///< 0 for a single seed
  int64_t seeds = 0;
};
/// Returns the figure of the runs that reached `evaluations`.
Figure figure_at(const std::vector<Run>& runs, int64_t evaluations);

}  // namespace lathe::study
