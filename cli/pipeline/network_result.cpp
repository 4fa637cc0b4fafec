#include "cli/pipeline/network_result.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"

namespace lathe::cli {
namespace {

using Json = nlohmann::json;

Json to_json(const search::AccuracyEstimate& accuracy) {
  return {{"top1", accuracy.top1},
          {"standard_error", accuracy.standard_error},
          {"images", accuracy.images}};
}

search::AccuracyEstimate accuracy_from(const Json& json) {
  return {json.at("top1").get<double>(), json.at("standard_error").get<double>(),
          json.at("images").get<int64_t>()};
}

Json to_json(const std::map<std::string, NetworkResult::Confirmation>& confirmed) {
  Json json = Json::object();
  for (const auto& [device, confirmation] : confirmed) {
    json[device] = {{"conditions", confirmation.conditions},
                    {"budget_s", confirmation.budget_s},
                    {"estimate", Json::parse(latency::to_json(confirmation.estimate))}};
  }
  return json;
}

std::map<std::string, NetworkResult::Confirmation> confirmations_from(const Json& json) {
  std::map<std::string, NetworkResult::Confirmation> confirmed;
  for (const auto& [device, confirmation] : json.items()) {
    confirmed[device] = {confirmation.at("conditions").get<std::string>(),
                         confirmation.value("budget_s", 0.0),
                         latency::latency_estimate_from_json(confirmation.at("estimate").dump())};
  }
  return confirmed;
}

Json to_json(const CompressionStep& step) {
  return {{"name", step.name},
          {"note", step.note},
          {"validation", to_json(step.validation)},
          {"macs", step.cost.macs},
          {"params", step.cost.params},
          {"peak_activation_bytes", step.cost.peak_activation_bytes},
          {"model_bytes", step.cost.model_bytes}};
}

CompressionStep step_from(const Json& json) {
  return {json.at("name").get<std::string>(),
          json.at("note").get<std::string>(),
          accuracy_from(json.at("validation")),
          {json.at("macs").get<int64_t>(), json.at("params").get<int64_t>(),
           json.at("peak_activation_bytes").get<int64_t>(), json.at("model_bytes").get<int64_t>()}};
}

}  // namespace

NetworkResult read_network_result(const std::filesystem::path& file) {
  NetworkResult result;
  if (!std::filesystem::exists(file)) return result;
  try {
    const Json json = Json::parse(read_file(file));
    result.architecture = json.at("architecture").get<std::string>();
    result.recipe = json.at("recipe").get<std::string>();
    // Files of earlier versions have neither precision nor steps.
    if (json.contains("precision")) {
      result.precision = latency::precision_from_string(json.at("precision").get<std::string>());
    }
    if (json.contains("steps")) {
      for (const Json& step : json.at("steps")) result.steps.push_back(step_from(step));
    }
    if (json.contains("unpruned")) {
      result.was_pruned = true;
      result.unpruned = confirmations_from(json.at("unpruned"));
    }
    if (json.contains("validation")) result.validation = accuracy_from(json.at("validation"));
    if (json.contains("test")) result.test = accuracy_from(json.at("test"));
    result.confirmed = confirmations_from(json.at("confirmed"));
    if (json.contains("parity")) {
      const Json& parity = json.at("parity");
      result.parity = ParityResult{
          parity.at("runtime").get<std::string>(), parity.at("max_abs_error").get<double>(),
          parity.at("top1_agreement").get<double>(), parity.at("images").get<int64_t>()};
    }
  } catch (const Json::exception& error) {
    throw DataError(file.string() + ": not a readable result (" + error.what() +
                    "); remove the file to make it again");
  }
  return result;
}

void write_network_result(const std::filesystem::path& file, const NetworkResult& result) {
  Json json = {{"architecture", result.architecture},
               {"precision", latency::to_string(result.precision)},
               {"recipe", result.recipe},
               {"steps", Json::array()},
               {"confirmed", to_json(result.confirmed)}};
  for (const CompressionStep& step : result.steps) json["steps"].push_back(to_json(step));
  if (result.was_pruned) json["unpruned"] = to_json(result.unpruned);
  if (result.validation) json["validation"] = to_json(*result.validation);
  if (result.test) json["test"] = to_json(*result.test);
  if (result.parity) {
    json["parity"] = {{"runtime", result.parity->runtime},
                      {"max_abs_error", result.parity->max_abs_error},
                      {"top1_agreement", result.parity->top1_agreement},
                      {"images", result.parity->images}};
  }
  write_file_atomically(file, json.dump(1) + "\n");
}

}  // namespace lathe::cli
