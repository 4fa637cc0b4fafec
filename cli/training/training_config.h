#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// What training needs of a run's config; the other sections are the full program's.
struct TrainingConfig {
  std::string name;
  std::filesystem::path folder;
  std::shared_ptr<const search::SearchSpace> space;
  supernet::SupernetOptions supernet;
};

/// Reads the config and the space it names. \throws ConfigError with every fault of what is read,
/// and if the run has nothing to train or a teacher, which is an ONNX file.
TrainingConfig read_training_config(const std::filesystem::path& file,
                                    const std::vector<std::string>& overrides,
                                    const std::filesystem::path& folder);

}  // namespace lathe::cli
