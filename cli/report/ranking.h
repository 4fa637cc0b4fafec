#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/measured_values.h"

namespace lathe::report {

/// A network of the space with the accuracy that it inherits from the supernet and the one that it
/// reaches when it is trained alone, from random weights. Both on the validation split, with batch
/// norm recalibrated.
struct RankedSubnet {
  std::string architecture;
  std::string description;
  int64_t macs = 0;
  int64_t params = 0;
  Accuracy inherited;
  std::optional<Accuracy> retrained;  ///< absent: not trained yet
};

/// How far the order of the inherited accuracies can be trusted.
struct RankingResult {
  double kendall = 0.0;  ///< tau-b of inherited against retrained accuracy
  double kendall_low = 0.0, kendall_high = 0.0;
  double level = 0.95;          ///< of that interval: percentile bootstrap over the subnets
  double spearman = 0.0;        ///< of the same
  double macs_kendall = 0.0;    ///< tau-b of MACs against retrained accuracy: what size alone tells
  int64_t pairs = 0;            ///< of subnets
  int64_t reversed_pairs = 0;   ///< in the other order when trained alone
  int64_t undecided_pairs = 0;  ///< whose retrained accuracies differ by less than 1.96 standard
                                ///< errors of their difference
  double mean_gap = 0.0;        ///< retrained minus inherited
  double gap_error = 0.0;       ///< standard error of that mean, from the spread over the subnets
  /// Within each subnet's MACs as the limit: by how much the retrained accuracy of the network that
  /// is best by inherited accuracy falls short of the best one's.
  double mean_loss = 0.0, worst_loss = 0.0;
};

/// A study of how well the supernet ranks: the content of ranking.json. Value type.
struct Ranking {
  std::string space;
  std::string dataset;
  uint64_t seed = 0;
  double supernet_epochs = 0.0;
  double epochs = 0.0;  ///< of each network trained alone
  double learning_rate = 0.0;
  double warmup_epochs = 0.0;
  std::vector<RankedSubnet> subnets;    ///< by rising MACs
  std::optional<RankingResult> result;  ///< absent: some network is not trained yet
};

/// Version of ranking.json's names and units (docs/summary.md).
inline constexpr int kRankingFormatVersion = 1;

/// Returns what the accuracies of `subnets` say; `seed`: of the bootstrap.
/// \throws InvariantError if there are fewer than two or one is not trained.
RankingResult ranking_result(const std::vector<RankedSubnet>& subnets, uint64_t seed);

/// Returns the content of ranking.json. \throws InvariantError if a number is not finite.
std::string ranking_to_json(const Ranking& ranking);
/// Writes `path` atomically. \throws InvariantError if a number is not finite.
void write_ranking(const std::filesystem::path& path, const Ranking& ranking);
/// Returns the study; nothing if there is no file. \throws DataError naming the field that is
/// wrong.
std::optional<Ranking> read_ranking(const std::filesystem::path& path);

/// Returns the study for people: a row a subnet, the coefficients, and what they mean for the
/// search.
std::string ranking_table(const Ranking& ranking);
/// Returns one sentence of advice.
std::string ranking_advice(const RankingResult& result);

}  // namespace lathe::report
