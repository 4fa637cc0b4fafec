#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/config.h"
#include "network/pruning/removal_order.h"
#include "search/evaluation/metric.h"

namespace lathe::supernet {

/// Where pruning ends: a metric at most at a bound, or at a share of what it was before.
struct PruneTarget {
  search::Metric metric;
  double factor = 0.0;  ///< above 0: of the unpruned network's value
  double bound = 0.0;   ///< where the factor is 0; in the metric's unit
};
std::string to_string(const PruneTarget& target);
/// Reads "latency@pi4 x0.7" or "macs <= 20M"; any metric but accuracy and energy.
/// \throws ConfigError saying how a target is written.
PruneTarget parse_prune_target(const std::string& text);

/// How a network is pruned: `rounds` times a part of the channels goes and the rest is fine-tuned.
struct PruneOptions {
  std::optional<PruneTarget> target;
  /// Accuracy on the validation split that may be lost at most, a fraction; the first round that
  /// loses more is taken back and ends the pruning.
  std::optional<double> accuracy_drop;
  network::PruneCriterion criterion = network::PruneCriterion::Fisher;
  network::PruneRanking ranking = network::PruneRanking::Global;
  int64_t channel_multiple = 8;
  int64_t images = 1000;  ///< that criteria of images look at
  int64_t rounds = 4;
  double finetune_epochs = 1.0;  ///< after each round
  double learning_rate = 0.02;   ///< of fine-tuning
  double sparsity = 0.0;         ///< weight of the batch norm scales' L1 norm in the loss
  double sparsity_epochs = 0.0;  ///< of training with it before the first round

  bool enabled() const { return target.has_value() || accuracy_drop.has_value(); }
};

/// Reads the section `compress.prune`, recording faults in its document.
PruneOptions read_prune_options(ConfigSection section);

}  // namespace lathe::supernet
