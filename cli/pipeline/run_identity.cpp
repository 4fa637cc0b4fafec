#include "cli/pipeline/run_identity.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/pipeline/run_config.h"
#include "core/config.h"
#include "core/file.h"

namespace lathe::cli {
namespace {

std::string identity_of(const search::ReplayOptions& table) {
  char text[192];
  std::snprintf(text, sizeof(text), ", scale %g, noise %g, %g s", table.scale, table.noise,
                table.seconds);
  return "table " + content_digest(table.table) + ", key " + table.key + ", column " +
         table.column + (table.energy.empty() ? "" : ", energy " + table.energy) + text + "\n";
}

/// Keys of the sections `data` and `supernet` that say where and how fast, not what comes out.
/// (What the files hold is guarded by the checkpoint, by content.)
bool changes_results(const std::string& key) {
  static const std::set<std::string> kFree = {"data.cache",
                                              "data.path",
                                              "data.verify",
                                              "supernet.device",
                                              "supernet.threads",
                                              "supernet.checkpoint_interval",
                                              "supernet.evaluation.memory"};
  return kFree.count(key) == 0;
}

/// A line a value, also of nested mappings.
std::string lines_of(const std::string& key, const nlohmann::json& value) {
  if (!value.is_object()) {
    return changes_results(key) ? key + ": " + value.dump() + "\n" : std::string();
  }
  std::string lines;
  for (const auto& [name, inner] : value.items()) lines += lines_of(key + "." + name, inner);
  return lines;
}

}  // namespace

std::string content_digest(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return "missing";
  return "sha256 " + sha256_hex(read_file(file)).substr(0, 16);
}

std::string run_identity(const RunConfig& config, const ConfigDocument& document) {
  using Json = nlohmann::json;
  const Json json = Json::parse(document.to_json());
  std::string lines = "seed: " + std::to_string(config.seed) + "\n";
  lines += "space: " + content_digest(config.space_file) + "\n";
  for (const char* section : {"data", "supernet"}) {
    lines += lines_of(section, json.value(section, Json::object()));
  }
  if (config.accuracy) lines += "accuracy: " + identity_of(*config.accuracy);
  for (const latency::DeviceConfig& device : config.devices) {
    if (!config.searches(device.name)) continue;
    const auto table = config.tables.find(device.name);
    if (table != config.tables.end()) {
      lines += "device " + device.name + ": " + identity_of(table->second);
      continue;
    }
    lines += "device " + device.name + ": " + device.engine + ", " +
             std::to_string(device.threads) + " threads, " + latency::to_string(device.precision) +
             (device.plan.sustain_s > 0.0 ? ", sustained" : "") + "\n";
  }
  return lines;
}

}  // namespace lathe::cli
