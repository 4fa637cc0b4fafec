#include "search/evaluation/replay.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "search/space/cell_space.h"

namespace lathe::search {
namespace {

constexpr double kNormal95 = 1.959963984540054;
constexpr size_t kMostBytes = size_t{1} << 30;

/// Reads a plain or gzip file (zlib tells them apart).
std::string read_text(const std::filesystem::path& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw DataError(path.string() + ": cannot be opened, expected a CSV file");
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (true) {
    const int count = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
    if (count < 0) throw DataError(path.string() + ": the compressed data is damaged");
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
    if (text.size() > kMostBytes)
      throw DataError(path.string() + ": more than 1 GiB, expected less");
  }
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == ',') {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

Architecture parse_architecture(const SearchSpace& space, const std::string& text) {
  if (const auto* cells = dynamic_cast<const CellSpace*>(&space);
      cells != nullptr && text.find('~') != std::string::npos) {
    return space.canonical(cells->parse_cell(text));
  }
  return space.canonical(Architecture::parse(text));
}

ReplayOptions read_common(ConfigSection& section, const char* table_key,
                          const std::filesystem::path& folder) {
  ReplayOptions options;
  options.table = section.text(table_key, std::nullopt);
  if (options.table.is_relative()) options.table = folder / options.table;
  options.key = section.text("key", options.key);
  options.column = section.text("column", std::nullopt);
  return options;
}

}  // namespace

ReplayTable::ReplayTable(const std::filesystem::path& path, const SearchSpace& space,
                         const std::string& key, const std::vector<std::string>& columns) {
  const std::string text = read_text(path);
  size_t begin = 0;
  int64_t line_number = 0;
  std::vector<size_t> positions;  // key first
  size_t width = 0;
  while (begin < text.size()) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    const std::vector<std::string> fields = split(text.substr(begin, end - begin));
    begin = end + 1;
    ++line_number;
    const std::string where = path.string() + ":" + std::to_string(line_number) + ": ";
    if (line_number == 1) {
      width = fields.size();
      std::vector<std::string> wanted = {key};
      wanted.insert(wanted.end(), columns.begin(), columns.end());
      for (const std::string& name : wanted) {
        const auto found = std::find(fields.begin(), fields.end(), name);
        if (found == fields.end()) throw DataError(where + "no column " + name + ", expected one");
        positions.push_back(static_cast<size_t>(found - fields.begin()));
      }
      for (size_t i = 0; i < columns.size(); ++i) columns_[columns[i]] = i;
      continue;
    }
    if (fields.size() != width) {
      throw DataError(where + std::to_string(fields.size()) + " fields, expected " +
                      std::to_string(width));
    }
    Architecture architecture;
    try {
      architecture = parse_architecture(space, fields[positions[0]]);
    } catch (const Error& e) {
      throw DataError(where + e.what());
    }
    if (!rows_.emplace(architecture, values_.size()).second) continue;
    std::vector<double> values;
    for (size_t i = 1; i < positions.size(); ++i) {
      const std::string& field = fields[positions[i]];
      char* stop = nullptr;
      values.push_back(std::strtod(field.c_str(), &stop));
      if (field.empty() || *stop != '\0' || !std::isfinite(values.back())) {
        throw DataError(where + columns[i - 1] + " = " + field + ", expected a number");
      }
    }
    values_.push_back(std::move(values));
    architectures_.push_back(std::move(architecture));
  }
  if (values_.empty()) throw DataError(path.string() + ": no rows, expected a header and values");
}

size_t ReplayTable::position(const std::string& column) const {
  const auto found = columns_.find(column);
  if (found == columns_.end()) {
    throw InvariantError("ReplayTable: column = " + column + ", expected one that was read");
  }
  return found->second;
}

std::optional<double> ReplayTable::find(const Architecture& architecture,
                                        const std::string& column) const {
  const size_t at = position(column);
  const auto row = rows_.find(architecture);
  if (row == rows_.end()) return std::nullopt;
  return values_[row->second][at];
}

std::pair<double, double> ReplayTable::range(const std::string& column) const {
  const size_t at = position(column);
  const auto less = [at](const auto& a, const auto& b) { return a[at] < b[at]; };
  const auto [low, high] = std::minmax_element(values_.begin(), values_.end(), less);
  return {(*low)[at], (*high)[at]};
}

ReplayOptions read_replay_accuracy(ConfigSection section,
                                   const std::filesystem::path& config_folder) {
  ReplayOptions options = read_common(section, "table", config_folder);
  options.scale = section.boolean("percent", false) ? 0.01 : 1.0;
  section.finish();
  return options;
}

ReplayOptions read_replay_latency(ConfigSection section,
                                  const std::filesystem::path& config_folder) {
  ReplayOptions options = read_common(section, "replay", config_folder);
  options.energy = section.text("energy", std::string());
  options.noise = section.real("noise", 0.0, {0.0, 1.0});
  options.seconds = section.duration_s("seconds", 0.0, {0.0, 3600.0});
  return options;
}

ReplayAccuracy::ReplayAccuracy(const SearchSpace& space, const ReplayOptions& options)
    : options_(options), table_(options.table, space, options.key, {options.column}) {}

std::vector<Result<AccuracyEstimate>> ReplayAccuracy::evaluate(
    const std::vector<Candidate>& candidates, Progress& /*progress*/) {
  std::vector<Result<AccuracyEstimate>> results;
  for (const Candidate& candidate : candidates) {
    const auto value = table_.find(candidate.architecture, options_.column);
    if (!value) {
      results.push_back(
          Failure{FailureKind::Unsupported,
                  options_.table.string() + ": no row for " + candidate.architecture.to_string()});
      continue;
    }
    results.push_back(AccuracyEstimate{*value * options_.scale, 0.0, 0});
  }
  return results;
}

ReplayLatency::ReplayLatency(const SearchSpace& space, std::string device,
                             const ReplayOptions& options, uint64_t seed)
    : device_(std::move(device)),
      options_(options),
      table_(options.table, space, options.key,
             options.energy.empty() ? std::vector<std::string>{options.column}
                                    : std::vector<std::string>{options.column, options.energy}),
      rng_(seed) {
  // A table has no sensor to read for some time; the plan only says that energy is wanted.
  if (!options.energy.empty()) plan_.energy_s = 1.0;
}

std::future<Result<latency::LatencyEstimate>> ReplayLatency::measure(
    const Candidate& candidate, const latency::MeasurementPlan& plan) {
  std::promise<Result<latency::LatencyEstimate>> promise;
  const auto value = table_.find(candidate.architecture, options_.column);
  if (!value) {
    promise.set_value(Failure{FailureKind::Unsupported, options_.table.string() + ": no row for " +
                                                            candidate.architecture.to_string()});
    return promise.get_future();
  }
  const double precision = plan.target_half_width / plan_.target_half_width;
  const double noise = options_.noise * precision;
  const std::string stream = device_ + " " + candidate.architecture.to_string() + " " +
                             std::to_string(plan.target_half_width) + (plan.fresh ? " fresh" : "");
  const double factor = std::max(0.01, 1.0 + noise * rng_.derive(stream, plan.seed).normal());
  latency::LatencyEstimate estimate;
  estimate.median_ms = *value * options_.scale * factor;
  const double half = kNormal95 * noise * estimate.median_ms;
  estimate.interval_ms = {estimate.median_ms - half, estimate.median_ms + half, 0.95};
  estimate.p90_ms = estimate.p99_ms = estimate.median_ms;
  if (!options_.energy.empty() && plan.energy_s > 0.0) {
    const double mj =
        *table_.find(candidate.architecture, options_.energy) *
        std::max(0.01, 1.0 + noise * rng_.derive("energy " + stream, plan.seed).normal());
    const double half_mj = kNormal95 * noise * mj;
    estimate.energy = {mj, {mj - half_mj, mj + half_mj, 0.95}, mj / estimate.median_ms, "replay"};
  }
  estimate.kept = 1;
  estimate.wall_s = options_.seconds / (precision * precision);
  estimate.conditions.engine = "replay";
  estimate.conditions.extra = {{"table", options_.table.filename().string()},
                               {"column", options_.column}};
  promise.set_value(std::move(estimate));
  return promise.get_future();
}

}  // namespace lathe::search
