#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/config.h"

namespace lathe::cli {

/// The section `run` of a config.
struct RunSection {
  std::string name;
  uint64_t seed = 1;
  int threads = 0;
  std::filesystem::path folder;
  std::filesystem::path measurements;  ///< empty: in the run folder
};

/// Reads it, recording faults. `folder`: that of the command line, which goes first; may be empty.
RunSection read_run_section(ConfigSection section, const std::filesystem::path& config,
                            const std::filesystem::path& folder);

/// Returns `path` relative to the config that names it, so that a run can start from any folder.
std::filesystem::path beside(const std::filesystem::path& config,
                             const std::filesystem::path& path);

}  // namespace lathe::cli
