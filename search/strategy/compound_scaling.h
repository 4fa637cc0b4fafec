#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "search/strategy/scaling_family.h"
#include "search/strategy/scaling_grid.h"
#include "search/strategy/strategy.h"

namespace lathe::search {

/// Compound scaling (Tan and Le, 2019) inside a staged space: from a baseline architecture a grid
/// over depth, width and resolution finds the most accurate network of `factor` times the
/// baseline's cost, and the powers of its three factors give a family.
///
/// It asks in stages, each when the one before is told: the baseline; for a latency budget some
/// points spread over the grid, to which log latency = a + b1 log d + b2 log w + b3 log r is
/// fitted; the grid points that should come nearest to the budget; the family. All of its state
/// but what is being evaluated follows from the history.
class CompoundScaling : public Strategy {
 public:
  /// \throws ConfigError with the fault of the options, the problem or the space.
  CompoundScaling(const StrategyOptions& options, const StrategyContext& context);

  std::vector<CountedCandidate> ask(size_t count) override;
  /// \throws DeviceError if the baseline failed or too few points are left to fit.
  void tell(const Evaluated& evaluated) override;
  bool waiting() const override;
  void add_findings(SearchOutcome& outcome) const override;
  std::string save_state() const override;
  void load_state(const std::string& text) override;

  /// What has been found so far; nothing before the baseline is told.
  std::optional<ScalingFamily> family() const;

 private:
  enum class Stage { Baseline, Fit, Grid, Family, Done };

  void remember(const Evaluated& evaluated);
  void advance();
  bool settled() const;
  bool draws_first() const;
  std::optional<Architecture> next_needed() const;
  const Evaluated* told(const Architecture& architecture) const;
  void begin_fit();
  void begin_grid();
  void begin_family();
  Architecture best_of_first() const;
  bool fits_counts(const Architecture& architecture) const;
  double baseline_cost() const;
  double predict(const ScaleFactors& realised) const;
  std::optional<double> cost_of(const Evaluated* evaluated) const;
  ScaledCandidate describe(const GridPoint& point) const;

  StrategyOptions options_;
  StrategyContext context_;
  const StagedSpace* space_ = nullptr;
  std::unordered_map<Architecture, size_t, ArchitectureHash> told_;  ///< indices into the history
  std::deque<Architecture> pending_;                                 ///< asked and not told

  Stage stage_ = Stage::Baseline;
  std::vector<Architecture> needed_;  ///< by the stage, before the next one can begin
  std::optional<Architecture> baseline_;
  std::vector<GridPoint> grid_;
  std::vector<size_t> evaluated_;  ///< indices into grid_: those fitted, then those near the budget
  std::optional<models::PowerLaw> law_;
  std::optional<size_t> best_;  ///< index into grid_
  std::vector<GridPoint> family_;
};

/// Returns what compound scaling expects of the problem and does not find there, or nothing.
std::string scaling_problem_fault(const ScalingOptions& options, const Problem& problem);
/// Returns what compound scaling expects of the space and does not find there, or nothing.
std::string scaling_space_fault(const ScalingOptions& options, const SearchSpace& space);

}  // namespace lathe::search
