#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/run_config.h"
#include "core/progress.h"
#include "search/strategy/block_table.h"

namespace lathe::cli {

struct BlockTableOptions {
  std::string device;             ///< a board of the config
  int64_t blocks = 500;           ///< measured at most, the most frequent first
  int64_t networks = 20;          ///< measured whole
  int64_t drawn_networks = 2000;  ///< whose blocks are counted
};

/// Measures the blocks of the config's space, each alone, and some whole networks, all by the
/// device's plan; what the measurement store of `evaluators` knows is not measured again. Blocks
/// that cannot be measured are left out with a warning. Returns nothing if the user asked to stop;
/// the store keeps what was measured. \throws DeviceError if a board is lost or no block could be
/// measured.
std::optional<search::BlockTable> build_block_table(const RunConfig& config,
                                                    const BlockTableOptions& options,
                                                    Evaluators& evaluators, Progress& progress);

}  // namespace lathe::cli
