#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "cli/pipeline/run_config.h"
#include "cli/report/ranking.h"
#include "core/progress.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// What is asked of a study; absent: as the study that is there, or its default.
struct RankingWish {
  std::optional<int64_t> subnets;
  std::optional<double> epochs, learning_rate;
  std::optional<int64_t> seed;
};

/// How well a trained supernet ranks: subnets spread over the space by their MACs are also trained
/// alone from random weights, with the supernet's own settings but for a shorter schedule. Kept in
/// `RUN/ranking.json` and, while one trains, `RUN/ranking/`. Not thread-safe.
class RankingStudy {
 public:
  /// Begins a study, or takes up the one in `run`. The references must outlive it. \throws
  /// ConfigError if that one was asked for differently, or the space has too few networks;
  /// DataError if its file is damaged.
  RankingStudy(const RunConfig& config, std::filesystem::path run, const RankingWish& wish,
               supernet::Supernet& supernet);

  /// Trains what is not trained yet. Returns false if `stop` answered true first: a later study of
  /// the same folder continues bit by bit.
  bool run(Progress& progress, const std::function<bool()>& stop);

  const report::Ranking& ranking() const { return ranking_; }

 private:
  void begin(const RankingWish& wish);
  void save() const;

  const RunConfig& config_;
  std::filesystem::path run_;
  supernet::Supernet& supernet_;
  report::Ranking ranking_;
};

}  // namespace lathe::cli
