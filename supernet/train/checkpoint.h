#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supernet/distributed/communicator.h"
#include "supernet/supernet.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// The mean of some gradients' Euclidean norms, each over all parameters of its network.
struct NormMean {
  double sum = 0;
  int64_t count = 0;
};

/// Everything that training needs to go on as if it had never stopped. Random draws depend on the
/// seed, the attempt and the step alone, so the position is all there is of the generators' state.
struct TrainState {
  int64_t step = 0;  ///< finished steps
  int64_t attempt =
      0;              ///< roll-backs so far; each draws other batches and halves the learning rate
  at::Tensor values;  ///< [parameters]
  at::Tensor momentum;  ///< [parameters]
  at::Tensor averaged =
      at::empty({0});  ///< [parameters] exponential mean of the values; [0] without
  at::Tensor teacher =
      at::empty({0});   ///< [parameters] of the largest network that teaches; [0] without
  double loss_sum = 0;  ///< of each step's first network since the last record
  int64_t loss_count = 0;
  std::array<NormMean, 3> gradient_norms;  ///< by SubnetRole, since the last record
  double smoothed_loss = 0;                ///< exponential mean; 0 before the first step
  double best_loss = 0;                    ///< the lowest smoothed loss since the warm-up
  double seconds = 0;                      ///< of training, over all processes
  std::vector<EpochRecord> records;
  std::vector<std::string> metrics;  ///< the lines of metrics.jsonl
  /// An earlier state that training which goes wrong returns to; its own is null, as it is where
  /// nothing returns.
  std::shared_ptr<const TrainState> good;
};

/// What a checkpoint belongs to, as ordered names and values.
using Identity = std::vector<std::pair<std::string, std::string>>;

/// Returns a hash of what a model computes and of its values, by which identities know it: its file
/// may move.
std::string hash_of(const network::Model& model);

/// Writes the state atomically.
/// \throws DataError naming the path and reason (a full disk) and that the earlier checkpoint is
/// intact.
void save_checkpoint(const std::filesystem::path& path, const TrainState& state,
                     const Identity& identity);

/// Reads it back; nothing if there is no file. Of a `group` rank 0 reads the file, and all get what
/// it has read. \throws DataError if it is damaged, or naming the first thing in which `identity`
/// differs.
std::optional<TrainState> load_checkpoint(const std::filesystem::path& path,
                                          const Identity& identity, Communicator* group = nullptr);

/// Adds those settings of the optimiser that every training has.
void add_optimizer(const TrainOptions& train, Identity& identity);

/// The identity as lines "name = value".
std::vector<std::string> flatten(const Identity& identity);

}  // namespace lathe::supernet
