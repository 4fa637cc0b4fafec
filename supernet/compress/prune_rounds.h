#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "network/network.h"
#include "search/evaluation/evaluators.h"
#include "search/evaluation/metric.h"

namespace lathe::supernet {

/// What one round of pruning left. Round 0 is the network before; its `top1_pruned` is that of the
/// network as it came, `validation` after training with sparsity, if any.
struct PruneRound {
  int64_t round = 0;
  search::MetricValue value;  ///< of the target's metric
  int64_t macs = 0;
  int64_t params = 0;
  double top1_pruned = 0.0;             ///< on the validation split, before fine-tuning
  search::AccuracyEstimate validation;  ///< after it
};

/// The finished rounds of one pruning, kept in a folder so that a killed process continues behind
/// the last one: rounds.json and each round's network as round-NN.onnx, exactly. Not thread-safe.
class PruneRounds {
 public:
  /// Reads what is there. `identity` is what the rounds depend on. \throws DataError naming the
  /// file if it is damaged or of another identity.
  PruneRounds(std::filesystem::path folder, std::string identity);

  const std::vector<PruneRound>& rounds() const { return rounds_; }
  /// Why the pruning ended; empty while it has not.
  const std::string& ended() const { return ended_; }
  network::Model model(int64_t round) const;

  void add(const PruneRound& round, const network::Model& model);
  void end(const std::string& why);

 private:
  std::filesystem::path file_of(int64_t round) const;
  void write() const;

  std::filesystem::path folder_;
  std::string identity_;
  std::vector<PruneRound> rounds_;
  std::string ended_;
};

}  // namespace lathe::supernet
