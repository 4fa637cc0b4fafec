#pragma once

#include <filesystem>
#include <vector>

#include "device_agent/board/board.h"

namespace lathe::device {

/// Returns the core to measure on: of the `usable` ones the last of the fastest cluster, which is
/// furthest from the first core, where most interrupts arrive. \throws InvariantError if `usable`
/// is empty.
int measuring_core(const BoardInfo& board, const std::vector<int>& usable);

/// Returns the cores that this process may use, the measuring one last, and keeps the calling
/// thread (and those that it starts later) off that one where there is another. Cores that the
/// kernel keeps apart from all programs (isolcpus) come first in the choice. `wanted` is the
/// measuring core, negative: choose. \throws ConfigError if `wanted` cannot be used.
std::vector<int> choose_cores(const std::filesystem::path& root, const BoardInfo& board,
                              int wanted);

}  // namespace lathe::device
