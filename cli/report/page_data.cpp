#include "cli/report/page_data.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/report/summary_json.h"
#include "cli/report/text.h"
#include "core/error.h"

namespace lathe::report {
namespace {

using Json = nlohmann::ordered_json;

/// The page shows four digits at most; fewer characters matter with 20,000 candidates.
double rounded(double value, const char* field, int64_t index) {
  if (!std::isfinite(value)) {
    throw InvariantError("report.html: candidate " + std::to_string(index) + ": " + field + " = " +
                         std::to_string(value) + ", expected a finite number");
  }
  return std::stod(significant(value, 7));
}

/// The devices that candidates, the front or the configuration name, in order of first mention.
std::vector<std::string> all_devices(const RunSummary& summary) {
  std::vector<std::string> names = device_names(summary);
  const auto add = [&names](const std::vector<DeviceLatency>& latencies) {
    for (const DeviceLatency& latency : latencies) {
      if (std::find(names.begin(), names.end(), latency.device) == names.end()) {
        names.push_back(latency.device);
      }
    }
  };
  for (const CandidateRecord& candidate : summary.search.candidates) add(candidate.latencies);
  for (const Baseline& baseline : summary.baselines) add(baseline.latencies);
  return names;
}

/// As latency_columns(), of the energy; null if no candidate has one.
Json energy_columns(const RunSummary& summary, const std::string& device) {
  Json columns = {{"mean", Json::array()}, {"low", Json::array()}, {"high", Json::array()}};
  bool any = false;
  for (const CandidateRecord& candidate : summary.search.candidates) {
    const auto found =
        std::find_if(candidate.latencies.begin(), candidate.latencies.end(),
                     [&](const DeviceLatency& entry) { return entry.device == device; });
    if (found == candidate.latencies.end() || !found->latency.energy) {
      for (Json& column : columns) column.push_back(nullptr);
      continue;
    }
    any = true;
    const Energy& energy = *found->latency.energy;
    columns["mean"].push_back(rounded(energy.mean_mj, "mean_mj", candidate.index));
    columns["low"].push_back(rounded(energy.low_mj, "low_mj", candidate.index));
    columns["high"].push_back(rounded(energy.high_mj, "high_mj", candidate.index));
  }
  return any ? columns : Json(nullptr);
}

Json latency_columns(const RunSummary& summary, const std::string& device) {
  Json median = Json::array();
  Json low = Json::array();
  Json high = Json::array();
  for (const CandidateRecord& candidate : summary.search.candidates) {
    const auto found =
        std::find_if(candidate.latencies.begin(), candidate.latencies.end(),
                     [&](const DeviceLatency& entry) { return entry.device == device; });
    if (found == candidate.latencies.end()) {
      for (Json* column : {&median, &low, &high}) column->push_back(nullptr);
      continue;
    }
    const Latency& latency = found->latency;
    median.push_back(rounded(latency.median_ms, "median_ms", candidate.index));
    low.push_back(rounded(latency.low_ms, "low_ms", candidate.index));
    high.push_back(rounded(latency.high_ms, "high_ms", candidate.index));
  }
  Json columns = Json::object();
  columns["median"] = std::move(median);
  columns["low"] = std::move(low);
  columns["high"] = std::move(high);
  return columns;
}

/// "latency@pi4 crashed: message"; the page groups by what stands before the first colon and blank.
std::string failure_text(const CandidateRecord& candidate) {
  if (candidate.failures.empty()) return "";
  const CandidateFailure& failure = candidate.failures.front();
  return failure.metric + " " + failure.kind + ": " + failure.message;
}

/// After how many images a candidate was stopped early (0: before any); null: it was not.
Json stopped_at(const CandidateRecord& candidate) {
  if (!candidate.screened.value_or(false)) return nullptr;
  return candidate.accuracy ? candidate.accuracy->images : 0;
}

Json candidate_columns(const RunSummary& summary, const std::vector<std::string>& devices) {
  const char* const names[] = {"index",    "architecture",      "description",
                               "top1",     "standard_error",    "macs",
                               "params",   "peak_memory_bytes", "model_size_bytes",
                               "feasible", "failure",           "stopped_at"};
  Json columns = Json::object();
  for (const char* name : names) columns[name] = Json::array();
  for (const CandidateRecord& candidate : summary.search.candidates) {
    columns["index"].push_back(candidate.index);
    columns["architecture"].push_back(candidate.architecture);
    columns["description"].push_back(candidate.description);
    if (candidate.accuracy) {
      columns["top1"].push_back(rounded(candidate.accuracy->top1, "top1", candidate.index));
      columns["standard_error"].push_back(
          rounded(candidate.accuracy->standard_error, "standard_error", candidate.index));
    } else {
      columns["top1"].push_back(nullptr);
      columns["standard_error"].push_back(nullptr);
    }
    columns["macs"].push_back(candidate.macs);
    columns["params"].push_back(candidate.params);
    columns["peak_memory_bytes"].push_back(candidate.peak_memory_bytes);
    columns["model_size_bytes"].push_back(candidate.model_size_bytes);
    columns["feasible"].push_back(candidate.feasible);
    columns["failure"].push_back(failure_text(candidate));
    columns["stopped_at"].push_back(stopped_at(candidate));
  }
  columns["latencies"] = Json::array();
  columns["energies"] = Json::array();
  for (const std::string& device : devices) {
    columns["latencies"].push_back(latency_columns(summary, device));
    columns["energies"].push_back(energy_columns(summary, device));
  }
  return columns;
}

RunSummary without_candidates(RunSummary summary) {
  summary.search.candidates.clear();
  return summary;
}

/// Inside JSON these characters stand in strings only, so their escapes keep the document's
/// meaning.
std::string script_safe(const std::string& json) {
  std::string safe;
  safe.reserve(json.size() + json.size() / 16);
  for (const char c : json) {
    switch (c) {
      case '<':
        safe += "\\u003c";
        break;
      case '>':
        safe += "\\u003e";
        break;
      case '&':
        safe += "\\u0026";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string compact(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

std::string page_data(const RunSummary& summary, const Ranking* ranking) {
  const std::vector<std::string> devices = all_devices(summary);
  Json page = Json::object();
  page["seed"] = std::to_string(summary.seed);  // JavaScript's numbers hold 53 bits
  page["devices"] = devices;
  page["candidates"] = candidate_columns(summary, devices);
  page["summary"] = Json::parse(summary_to_json(without_candidates(summary)));
  page["ranking"] = ranking == nullptr ? Json(nullptr) : Json::parse(ranking_to_json(*ranking));
  page["ranking_advice"] =
      ranking != nullptr && ranking->result ? ranking_advice(*ranking->result) : "";
  return script_safe(compact(page));
}

}  // namespace lathe::report
