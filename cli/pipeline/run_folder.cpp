#include "cli/pipeline/run_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

namespace lathe::cli {
namespace {

using Json = nlohmann::json;
constexpr int kManifestVersion = 1;
constexpr double kTouchIntervalS = 5.0;
const std::string kReportStage = "report";

std::filesystem::path made(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    throw DataError("run folder " + path.string() + ": cannot be created: " + error.message() +
                    " (choose another with run.folder or --folder)");
  }
  return path;
}

/// The first lines in which two configurations differ, for people.
std::string first_difference(const std::string& before, const std::string& now) {
  std::istringstream a(before);
  std::istringstream b(now);
  std::string line_a;
  std::string line_b;
  while (true) {
    const bool more_a = static_cast<bool>(std::getline(a, line_a));
    const bool more_b = static_cast<bool>(std::getline(b, line_b));
    if (!more_a) line_a = "(nothing)";
    if (!more_b) line_b = "(nothing)";
    if (line_a != line_b) return "it was `" + line_a + "`, now it is `" + line_b + "`";
    if (!more_a && !more_b) return "the files differ";
  }
}

int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace

RunFolder::RunFolder(std::filesystem::path path, const std::string& config_yaml,
                     const std::string& identity)
    : path_(made(path)), lock_(path_ / "lock"), identity_(identity) {
  const auto manifest = file("manifest.json");
  if (!std::filesystem::exists(manifest)) {
    started_at_ = utc_now();
    write_file_atomically(file("config.yaml"), config_yaml);
    save();
    return;
  }
  Json json;
  try {
    json = Json::parse(read_file(manifest));
    const int version = json.at("format_version").get<int>();
    if (version > kManifestVersion) {
      throw DataError(manifest.string() + ": /format_version = " + std::to_string(version) +
                      ", expected at most " + std::to_string(kManifestVersion) +
                      ": the run was made by a newer lathe");
    }
    const std::string before = json.at("identity").get<std::string>();
    if (before != identity) {
      throw ConfigError(path_.string() + ": this run was started with other settings: " +
                        first_difference(before, identity) +
                        "; give the run another name (run.name) or remove the folder");
    }
    started_at_ = json.at("started_at").get<std::string>();
    for (const Json& stage : json.at("stages")) {
      stages_.push_back({stage.at("name").get<std::string>(), stage.at("seconds").get<double>(),
                         stage.at("peak_memory_bytes").get<int64_t>(),
                         stage.at("resumed").get<int>(), stage.at("done").get<bool>()});
    }
  } catch (const Json::exception& error) {
    throw DataError(manifest.string() + ": not a readable manifest (" + error.what() + ")");
  }
  const auto config = file("config.yaml");
  unchanged_ = std::filesystem::exists(config) && read_file(config) == config_yaml;
  if (unchanged_) return;
  reopen({kReportStage});  // first: what the old report shows is not what is asked for now
  write_file_atomically(config, config_yaml);
}

bool RunFolder::done(const std::string& stage) const {
  return std::any_of(stages_.begin(), stages_.end(), [&](const StageRecord& record) {
    return record.name == stage && record.done;
  });
}

StageRecord& RunFolder::at(const std::string& stage) {
  for (StageRecord& record : stages_) {
    if (record.name == stage) return record;
  }
  stages_.push_back({stage, 0.0, 0, -1, false});
  return stages_.back();
}

void RunFolder::begin(const std::string& stage) {
  StageRecord& entry = at(stage);
  if (!entry.done) ++entry.resumed;
  entry.done = false;
  if (stage != kReportStage) reopen({kReportStage});
  save();
}

void RunFolder::record(const std::string& stage, double seconds, int64_t peak_memory, bool done) {
  StageRecord& entry = at(stage);
  entry.seconds += seconds;
  entry.peak_memory_bytes = std::max(entry.peak_memory_bytes, peak_memory);
  entry.done = done;
  save();
}

void RunFolder::reopen(const std::vector<std::string>& stages) {
  for (StageRecord& record : stages_) {
    if (std::find(stages.begin(), stages.end(), record.name) != stages.end()) record.done = false;
  }
  save();
}

void RunFolder::save() const {
  Json stages = Json::array();
  for (const StageRecord& record : stages_) {
    stages.push_back({{"name", record.name},
                      {"seconds", record.seconds},
                      {"peak_memory_bytes", record.peak_memory_bytes},
                      {"resumed", record.resumed},
                      {"done", record.done}});
  }
  const Json json = {{"format_version", kManifestVersion},
                     {"started_at", started_at_},
                     {"identity", identity_},
                     {"stages", stages}};
  write_file_atomically(path_ / "manifest.json", json.dump(1) + "\n");
}

StageTimer::StageTimer(RunFolder& folder, std::string stage)
    : folder_(folder), stage_(std::move(stage)), start_s_(steady_clock().now_s()) {
  reset_peak_memory();
  folder_.begin(stage_);
}

StageTimer::~StageTimer() {
  if (finished_) return;
  try {
    record(false);
  } catch (const std::exception& error) {
    log::warning(std::string("the interrupted stage's time was not saved: ") + error.what());
  }
}

void StageTimer::touch() {
  if (steady_clock().now_s() - start_s_ >= kTouchIntervalS) record(false);
}

void StageTimer::finish() {
  record(true);
  finished_ = true;
}

void StageTimer::record(bool done) {
  const double now_s = steady_clock().now_s();
  folder_.record(stage_, now_s - start_s_, peak_memory_bytes(), done);
  start_s_ = now_s;
}

}  // namespace lathe::cli
