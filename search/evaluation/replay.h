#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/config.h"
#include "search/evaluation/evaluators.h"
#include "search/space/search_space.h"

namespace lathe::search {

/// Known results of a space's architectures: a CSV file (gzip if its name ends in .gz) with a
/// header. The column `key` holds the architecture as Architecture::to_string() writes it or, for
/// cell spaces, as their describe() does. Of rows that describe one network the first one counts.
/// Immutable.
class ReplayTable {
 public:
  /// \throws DataError with file:line for a file that cannot be read, a missing column, a row of
  /// another length, an architecture that is not of the space or a value that is not a number.
  ReplayTable(const std::filesystem::path& path, const SearchSpace& space, const std::string& key,
              const std::vector<std::string>& columns);

  /// Returns the value of `column` for a canonical architecture, or nothing if the table does not
  /// have it. \throws InvariantError if `column` was not read.
  std::optional<double> find(const Architecture& architecture, const std::string& column) const;

  /// The architectures of the table, canonical, in the file's order.
  const std::vector<Architecture>& architectures() const { return architectures_; }

  /// The smallest and the largest value of `column`. \throws InvariantError as find().
  std::pair<double, double> range(const std::string& column) const;

 private:
  size_t position(const std::string& column) const;

  std::map<std::string, size_t> columns_;
  std::unordered_map<Architecture, size_t, ArchitectureHash> rows_;
  std::vector<Architecture> architectures_;
  std::vector<std::vector<double>> values_;
};

/// Where replayed values come from.
struct ReplayOptions {
  std::filesystem::path table;
  std::string key = "architecture";
  std::string column;
  double scale = 1.0;    ///< the column's values times this are fractions, or milliseconds
  std::string energy;    ///< column of mJ; empty: none
  double noise = 0.0;    ///< relative standard deviation of one measurement by the default plan
  double seconds = 0.0;  ///< board time of one measurement
};

/// Reads {table, key, column, percent} of a config section `accuracy`, or {replay, key, column,
/// energy, noise, seconds} of a device. Paths are relative to the config file.
ReplayOptions read_replay_accuracy(ConfigSection section,
                                   const std::filesystem::path& config_folder);
ReplayOptions read_replay_latency(ConfigSection section,
                                  const std::filesystem::path& config_folder);

/// Accuracies from a table.
class ReplayAccuracy : public AccuracyEvaluator {
 public:
  ReplayAccuracy(const SearchSpace& space, const ReplayOptions& options);
  std::vector<Result<AccuracyEstimate>> evaluate(const std::vector<Candidate>& candidates,
                                                 Progress& progress) override;
  const ReplayTable& table() const { return table_; }

 private:
  ReplayOptions options_;
  ReplayTable table_;
};

/// Latencies from a table, with noise as a board's: a measurement is the table's value times a
/// factor that depends only on the seed, the architecture and the plan (one that asks for a fresh
/// measurement gets another factor), and reports the interval that the noise implies. The noise
/// is proportional to the width that the plan asks for, and the time goes with its square.
/// Thread-safe.
class ReplayLatency : public LatencyEvaluator {
 public:
  ReplayLatency(const SearchSpace& space, std::string device, const ReplayOptions& options,
                uint64_t seed);
  const std::string& device() const override { return device_; }
  const latency::MeasurementPlan& default_plan() const override { return plan_; }
  bool shares_host() const override { return false; }
  std::future<Result<latency::LatencyEstimate>> measure(
      const Candidate& candidate, const latency::MeasurementPlan& plan) override;
  const ReplayTable& table() const { return table_; }

 private:
  std::string device_;
  ReplayOptions options_;
  ReplayTable table_;
  Rng rng_;
  latency::MeasurementPlan plan_;
};

}  // namespace lathe::search
