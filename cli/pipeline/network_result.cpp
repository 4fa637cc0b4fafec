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

}  // namespace

NetworkResult read_network_result(const std::filesystem::path& file) {
  NetworkResult result;
  if (!std::filesystem::exists(file)) return result;
  try {
    const Json json = Json::parse(read_file(file));
    result.architecture = json.at("architecture").get<std::string>();
    result.recipe = json.at("recipe").get<std::string>();
    if (json.contains("validation")) result.validation = accuracy_from(json.at("validation"));
    if (json.contains("test")) result.test = accuracy_from(json.at("test"));
    for (const auto& [device, confirmation] : json.at("confirmed").items()) {
      result.confirmed[device] = {
          confirmation.at("conditions").get<std::string>(),
          latency::latency_estimate_from_json(confirmation.at("estimate").dump())};
    }
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
               {"recipe", result.recipe},
               {"confirmed", Json::object()}};
  if (result.validation) json["validation"] = to_json(*result.validation);
  if (result.test) json["test"] = to_json(*result.test);
  for (const auto& [device, confirmation] : result.confirmed) {
    json["confirmed"][device] = {
        {"conditions", confirmation.conditions},
        {"estimate", Json::parse(latency::to_json(confirmation.estimate))}};
  }
  if (result.parity) {
    json["parity"] = {{"runtime", result.parity->runtime},
                      {"max_abs_error", result.parity->max_abs_error},
                      {"top1_agreement", result.parity->top1_agreement},
                      {"images", result.parity->images}};
  }
  write_file_atomically(file, json.dump(1) + "\n");
}

}  // namespace lathe::cli
