#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"

namespace lathe::cli {

/// One finished or interrupted stage of a run, summed over all processes that worked on it.
struct StageRecord {
  std::string name;
  double seconds = 0.0;
  int64_t peak_memory_bytes = 0;  ///< of the lathe process
  int resumed = 0;                ///< how many times it was continued after an interruption
  bool done = false;
};

/// The folder of a run: where its files are, which stages are done, and a lock that keeps a second
/// lathe out. Everything in it is written atomically. Not thread-safe.
///
///   config.yaml  manifest.json  supernet/  search.sqlite  measurements.sqlite  export/
///   summary.json report.html  log.jsonl
class RunFolder {
 public:
  /// Creates or opens `path` and takes its lock. `config_yaml` and `identity` (what must not change
  /// between two calls: data, space, training, seed) are recorded the first time. \throws DataError
  /// if the folder cannot be written or another lathe works in it; ConfigError if the run was
  /// started with another identity, naming the first line that differs.
  RunFolder(std::filesystem::path path, const std::string& config_yaml,
            const std::string& identity);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }

  /// True if the folder existed and was last opened with exactly this configuration.
  bool unchanged() const { return unchanged_; }
  const std::vector<StageRecord>& stages() const { return stages_; }
  /// When the run was first started, UTC, ISO 8601.
  const std::string& started_at() const { return started_at_; }
  bool done(const std::string& stage) const;
  /// Adds a stretch of work to `stage`'s record and saves the manifest.
  void record(const std::string& stage, double seconds, int64_t peak_memory_bytes, bool done);
  /// Marks that `stage` starts; counts as resumed if it had started before without being done. The
  /// report is then no longer done.
  void begin(const std::string& stage);
  /// Forgets that `stages` were done, so that they run again (an extended search).
  void reopen(const std::vector<std::string>& stages);

 private:
  void save() const;
  StageRecord& at(const std::string& stage);

  std::filesystem::path path_;
  FileLock lock_;
  std::string identity_;
  std::string started_at_;
  bool unchanged_ = false;
  std::vector<StageRecord> stages_;
};

/// Times one stage and records it, also when an exception ends it. Peak memory is the process's
/// high-water mark within the stage where the kernel lets it be reset (/proc/self/clear_refs), else
/// since the start.
class StageTimer {
 public:
  StageTimer(RunFolder& folder, std::string stage);
  ~StageTimer();
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;
  /// Records the time so far, at most every few seconds, so that a kill loses little of it.
  void touch();
  /// Records the time so far at once.
  void record_so_far() { record(false); }
  /// The stage is complete. Without this call it counts as interrupted.
  void finish();

 private:
  void record(bool done);

  RunFolder& folder_;
  std::string stage_;
  double start_s_;
  bool finished_ = false;
};

}  // namespace lathe::cli
