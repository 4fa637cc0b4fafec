#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "search/evaluation/evaluators.h"
#include "search/evaluation/metric.h"
#include "search/space/search_space.h"

namespace lathe::search {

/// A piece of an architecture that costs the same wherever it stands: a block of the deployed
/// network, by its structural digest, or a kind of operation of a cell space.
struct CostPart {
  uint64_t key = 0;
  int64_t count = 1;
  int64_t macs = 0;  ///< of one
};

/// A candidate with what can be counted before it is evaluated.
struct CountedCandidate {
  Candidate candidate;
  Metrics counted;               ///< macs, params, peak_memory, model_size
  std::vector<CostPart> parts;   ///< what its latency should add up from, each key once
  std::vector<double> features;  ///< further numbers for models, as many for all of a space
};

/// False for spaces that are tables of known results: their architectures cannot be lowered.
bool has_networks(const SearchSpace& space);

/// Lowers an architecture (made canonical) and computes its digests and counted metrics.
/// `structure` is the digest of the deployed network: what is measured. \throws InvariantError if
/// the architecture is not of the space.
CountedCandidate make_candidate(const SearchSpace& space, const Architecture& architecture,
                                int64_t index);

/// Returns the counted metrics of a network.
Metrics counted_metrics(const network::Network& network);

/// A candidate whose evaluation has ended. `candidate.network` is null: lower the architecture
/// again when the network is needed, so that a long run's memory stays small.
struct Evaluated {
  Candidate candidate;
  Metrics metrics;  ///< all that the problem names if ok(), else those that are known
  std::optional<AccuracyEstimate> accuracy;
  std::map<std::string, latency::LatencyEstimate> latencies;  ///< by device
  /// Stopped early (racing.h): it cannot be in the front. Its values are those of a part of the
  /// images and of coarse measurements; they guide the strategy and are never reported as found.
  bool screened = false;
  /// Board time spent by device, coarse measurements included; empty if nothing was measured.
  std::map<std::string, double> board_s;
  std::optional<Failure> failure;  ///< set: the candidate has no value, and is never a parent
  std::string failed_on;           ///< "accuracy" or "latency@DEVICE"

  bool ok() const { return !failure.has_value(); }
};

/// Returns the metric value of an estimate: the median with its interval.
MetricValue latency_value(const latency::LatencyEstimate& estimate);
/// The same of its energy: the mean with its interval.
MetricValue energy_value(const latency::EnergyEstimate& estimate);
/// Sets what a measurement on `device` says: latency@device and, if it was measured, energy@device.
void set_measured(Metrics& metrics, const std::string& device,
                  const latency::LatencyEstimate& estimate);
/// Returns top-1 with its two-sided 95 % interval, cut to [0, 1].
MetricValue accuracy_value(const AccuracyEstimate& estimate);

/// Refuses constraints that no architecture of the space can meet, before anything long starts:
/// upper bounds are held against the smallest architecture, lower bounds against the largest.
/// Counted metrics are known; `measured_smallest` adds measured ones (latency, energy) of the
/// smallest architecture, as the caller has them. \throws ConfigError with one line a constraint,
/// the numbers and what to do.
void check_feasible(const SearchSpace& space, const std::vector<Constraint>& constraints,
                    const Metrics& measured_smallest = {});

}  // namespace lathe::search
