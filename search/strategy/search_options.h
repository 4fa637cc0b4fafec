#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/config.h"
#include "latency/models/regressor.h"
#include "search/evaluation/problem.h"

namespace lathe::search {

/// What compound_scaling looks for.
struct ScalingOptions {
  /// "smallest", "best" (of the first generation, by accuracy * cost^-0.07) or a genotype.
  std::string baseline = "smallest";
  Metric budget = {MetricKind::Macs, ""};  ///< or a latency that the problem names
  double factor = 2.0;                     ///< what phi = 1 may cost, in multiples of the baseline
  int64_t points = 16;  ///< measured for the fit of a latency, the baseline included
  int64_t grid = 20;    ///< evaluated of the grid near the budget at phi = 1, at most
  int64_t family = 3;   ///< the largest phi
};

/// How candidates are proposed. Fields that a strategy does not use are ignored by it.
struct StrategyOptions {
  std::string name = "nsga2";
  int64_t population = 20;             ///< also the size of a generation; see default_population
  double crossover_probability = 0.9;  ///< else the child is a mutated copy of one parent
  double mutation_probability = 0.0;   ///< per active gene; 0: one over the number of genes
  double immigrants = 0.1;             ///< share of a generation that is drawn afresh
  int64_t sample = 0;  ///< aging_evolution: members of a tournament; 0: a quarter of the population
  ScalingOptions scaling;
  /// surrogate: files of block tables by device, as configured, and what they hold (block_table.h).
  std::map<std::string, std::string> block_tables;
  std::map<std::string, models::PartCosts> block_costs;
  int64_t pool = 1000;        ///< surrogate: candidates that are predicted before a batch is chosen
  bool seed_extremes = true;  ///< the first two proposals are the smallest and the largest
};

/// Returns 50 for aging_evolution, whose population must outlive the good ones' children, else 20.
int64_t default_population(const std::string& strategy);

/// When a search ends. Whatever is reached first; the candidates in flight are still finished.
struct SearchBudget {
  int64_t evaluations = 400;
  double board_time_s = 0.0;  ///< summed over the devices; 0: no limit
};

/// What to do when a device cannot be reached.
struct RetryOptions {
  int attempts =
      6;  ///< of one measurement, each after its evaluator has given up, before the search stops
  double first_wait_s = 2.0;  ///< doubled after every attempt
  double longest_wait_s = 60.0;
};

struct SearchOptions {
  Problem problem;
  StrategyOptions strategy;
  SearchBudget budget;
  /// The hypervolume's fixed reference point in the metrics' units. Objectives that it does not
  /// name get 1.1 times the worst value of the first generation.
  std::map<Metric, double> reference;
  int64_t batch = 0;  ///< candidates that are asked for together; 0: a generation
  /// Candidates between proposal and commitment at most. 0: one batch, so that the next one starts
  /// when all of it is in; with several boards two more for each of them, so that they stay busy at
  /// a batch's end. The outcome depends on these numbers, never on timing: a search goes on with
  /// the number that it began with.
  int64_t in_flight = 0;
  int64_t accuracy_batch = 10;  ///< candidates whose accuracy is computed and saved together
  bool racing =
      false;  ///< stop candidates that cannot get into the front early (racing.h); races()
  RetryOptions retry;
};

/// Reads the config section `search`, recording faults in its document.
SearchOptions read_search_options(ConfigSection section);

/// Returns how many candidates are asked for together: `batch`, or else a generation, of surrogates
/// at most 10.
int64_t batch_size(const SearchOptions& options);

/// Returns whether candidates race: `racing`, but never in compound scaling, whose fit, choice and
/// family need every value whole.
bool races(const SearchOptions& options);

/// What may not change between a search and its continuation, by name, for Journal::bind.
std::map<std::string, std::string> identity_of(const SearchOptions& options);

}  // namespace lathe::search
