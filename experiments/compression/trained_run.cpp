#include "experiments/compression/trained_run.h"

#include <nlohmann/json.hpp>
#include <set>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"

namespace lathe::study {

TrainedRun::TrainedRun(const std::filesystem::path& folder) : folder_(folder) {
  const ConfigDocument document = ConfigDocument::read_file(folder / "config.yaml");
  ConfigSection root = document.root();
  options_.seed = static_cast<uint64_t>(root.section("run").integer("seed", 1, {0, INT64_MAX}));
  options_.data = supernet::read_data_options(root.section("data"));
  supernet::read_supernet_options(root.section("supernet"), options_);
  document.throw_if_faults();
  space_ = search::read_search_space(folder / "space.yaml");
  supernet_ = supernet::load_supernet_module().create(*space_, options_, folder);
  if (!supernet_->trained()) {
    throw DataError(folder.string() +
                    ": its supernet is not trained; run `lathe run` to its end first");
  }
}

std::vector<ChosenNetwork> TrainedRun::chosen() {
  const auto summary = nlohmann::json::parse(read_file(folder_ / "summary.json"));
  std::vector<ChosenNetwork> networks;
  std::set<std::string> seen;
  for (const nlohmann::json& entry : summary.at("front")) {
    const std::string architecture = entry.at("architecture");
    if (!seen.insert(architecture).second) continue;
    const network::Network network = space_->lower(search::Architecture::parse(architecture));
    networks.push_back({entry.at("id"), supernet_->extract(network).model});
  }
  return networks;
}

network::Model TrainedRun::largest() {
  return supernet_->extract(space_->lower(space_->largest())).model;
}

}  // namespace lathe::study
