#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "latency/models/model_selector.h"
#include "search/evaluation/candidate.h"
#include "search/strategy/expected_improvement.h"

namespace lathe::search {

class Proposer;

/// How the models of one metric do on evaluations that they did not see, for the report.
struct LearnedMetric {
  Metric metric;
  bool on = false;  ///< false: nothing beats a constant, so the models predict nothing
  std::vector<models::ModelReport> models;  ///< the last one is their average, which is used
};

/// The unit in which a metric is learned: errors (of accuracy) and latencies act by factors.
double to_learned(const Metric& metric, double value);

/// Returns a candidate of `space` as the models see it: its active genes, the logarithms of MACs
/// and parameters with the candidate's further numbers, and its parts.
models::Features model_features(const SearchSpace& space, const CountedCandidate& candidate);

/// What can be learned from a search's evaluations: a models::ModelSelector for every metric that
/// is not counted, over the genes, the counted costs and the parts. Accuracy is learned as the
/// logarithm of the error, all else as its logarithm. Not thread-safe.
class LearnedMetrics {
 public:
  /// `block_costs`: of blocks measured alone, by device (block_table.h).
  LearnedMetrics(const SearchSpace& space, const Problem& problem, Proposer& proposer,
                 const std::map<std::string, models::PartCosts>& block_costs = {});

  const std::vector<Metric>& metrics() const { return metrics_; }
  /// Returns where `metric` stands in metrics(). \throws InvariantError if it is not learned.
  size_t position(const Metric& metric) const;

  /// Fits every metric's models to the evaluations of `history` that have values; `history` is the
  /// one of the last call with more at its end.
  void fit(const std::vector<Evaluated>& history);

  /// Returns the beliefs in learned units, by sample and metric. \throws InvariantError before
  /// fit().
  std::vector<std::vector<Belief>> beliefs(const std::vector<models::Features>& samples) const;

  std::vector<LearnedMetric> reports() const;

  /// What load() needs so that the next fit() gives the same models; JSON.
  std::string save() const;
  /// \throws DataError if `text` is not of these metrics.
  void load(const std::string& text);

 private:
  const SearchSpace& space_;
  Proposer& proposer_;
  std::vector<Metric> metrics_;
  std::vector<models::ModelSelector> models_;  ///< as metrics_
  size_t seen_ = 0;                            ///< of the history
  std::vector<models::Features> samples_;
  std::vector<std::vector<double>> labels_;  ///< by metric and sample
};

}  // namespace lathe::search
