#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "search/space/search_space.h"
#include "supernet/supernet.h"

namespace lathe::study {

/// A network that a run chose: its name in the run's report, with its inherited weights.
struct ChosenNetwork {
  std::string name;
  network::Model model;
};

/// The folder of a finished `lathe run`: its trained supernet, and what was chosen from it. Not
/// thread-safe.
class TrainedRun {
 public:
  /// \throws DataError if the folder's supernet is not trained; ConfigError if its config is
  /// damaged.
  explicit TrainedRun(const std::filesystem::path& folder);

  supernet::Supernet& supernet() { return *supernet_; }
  std::unique_ptr<supernet::Supernet> take_supernet() { return std::move(supernet_); }
  const search::SearchSpace& space() const { return *space_; }
  uint64_t seed() const { return options_.seed; }

  /// Every architecture of the report's front once, the most accurate first. \throws DataError if
  /// the run has no summary.json.
  std::vector<ChosenNetwork> chosen();
  /// The supernet's largest network.
  network::Model largest();

 private:
  std::filesystem::path folder_;
  supernet::SupernetOptions options_;
  std::unique_ptr<search::SearchSpace> space_;
  std::unique_ptr<supernet::Supernet> supernet_;
};

}  // namespace lathe::study
