#include "search/strategy/block_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/statistics.h"
#include "latency/models/additive_table.h"
#include "network/passes.h"
#include "search/evaluation/candidate.h"
#include "search/strategy/learned_metrics.h"

namespace lathe::search {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormat = "lathe block table 1";
constexpr size_t kLargestFile = size_t{256} << 20;

/// The k-th network of a sample.
Architecture drawn(const SearchSpace& space, int64_t k, const Rng& rng) {
  if (k == 0) return space.smallest();
  if (k == 1) return space.largest();
  Rng own = rng.derive("network", static_cast<uint64_t>(k));
  return space.sample(own);
}

/// Returns the median time of a MAC, in ms, of the blocks that have any.
double time_per_mac(const BlockTable& table) {
  std::vector<double> ratios;
  for (const BlockTable::Block& block : table.blocks) {
    if (block.macs > 0) ratios.push_back(block.median_ms / static_cast<double>(block.macs));
  }
  return ratios.empty() ? 0.0 : median(ratios);
}

models::ModelReport report_of(const std::string& name, models::Regressor& model,
                              const std::vector<models::Features>& samples,
                              const std::vector<double>& labels) {
  model.fit(samples, labels);
  const models::HeldOut held_out = model.held_out();
  std::vector<double> seen;
  for (const size_t sample : held_out.samples) seen.push_back(labels[sample]);
  return models::assess(name, held_out.predictions, seen);
}

Json to_json(const BlockTable::Block& block) {
  return {{"structure", block.structure.hex()},
          {"block", block.name},
          {"input", block.input},
          {"output", block.output},
          {"macs", block.macs},
          {"occurrences", block.occurrences},
          {"median_ms", block.median_ms},
          {"low_ms", block.interval_ms.low},
          {"high_ms", block.interval_ms.high},
          {"level", block.interval_ms.level},
          {"verdict", latency::to_string(block.verdict)}};
}

BlockTable::Block block_from(const Json& from) {
  BlockTable::Block block;
  block.structure = network::Digest::from_hex(from.at("structure").get<std::string>());
  block.name = from.at("block").get<std::string>();
  block.input = from.at("input").get<std::string>();
  block.output = from.at("output").get<std::string>();
  block.macs = from.at("macs").get<int64_t>();
  block.occurrences = from.at("occurrences").get<int64_t>();
  block.median_ms = from.at("median_ms").get<double>();
  if (!(block.median_ms > 0.0)) {
    throw DataError("block " + block.name + ": median_ms = " + from.at("median_ms").dump() +
                    ", expected a positive number");
  }
  block.interval_ms = {from.at("low_ms").get<double>(), from.at("high_ms").get<double>(),
                       from.at("level").get<double>()};
  block.verdict = latency::verdict_from_string(from.at("verdict").get<std::string>());
  return block;
}

Json to_json(const models::ModelReport& report) {
  return {{"model", report.model},       {"labels", report.labels},
          {"mape", report.mape},         {"spearman", report.spearman},
          {"kendall", report.kendall},   {"explained", report.explained},
          {"coverage", report.coverage}, {"weight", report.weight}};
}

models::ModelReport report_from(const Json& from) {
  models::ModelReport report;
  report.model = from.at("model").get<std::string>();
  report.labels = from.at("labels").get<int64_t>();
  report.mape = from.at("mape").get<double>();
  report.spearman = from.at("spearman").get<double>();
  report.kendall = from.at("kendall").get<double>();
  report.explained = from.at("explained").get<double>();
  report.coverage = from.at("coverage").get<double>();
  report.weight = from.at("weight").get<double>();
  return report;
}

BlockTable table_from(const Json& from) {
  if (from.value("format", "") != kFormat) {
    throw DataError("format = " + from.value("format", "nothing") + ", expected " + kFormat);
  }
  BlockTable table;
  table.space = from.at("space").get<std::string>();
  table.device = from.at("device").get<std::string>();
  table.fingerprint = from.at("fingerprint").get<std::string>();
  table.engine = from.at("engine").get<std::string>();
  table.engine_version = from.at("engine_version").get<std::string>();
  table.precision = latency::precision_from_string(from.at("precision").get<std::string>());
  table.threads = from.at("threads").get<int>();
  table.covered = from.at("covered").get<double>();
  for (const Json& block : from.at("blocks")) table.blocks.push_back(block_from(block));
  for (const Json& whole : from.at("networks")) {
    table.networks.push_back({Architecture::parse(whole.at("architecture").get<std::string>()),
                              whole.at("median_ms").get<double>(),
                              whole.at("sum_ms").get<double>()});
  }
  for (const Json& report : from.at("reports")) table.reports.push_back(report_from(report));
  if (table.blocks.empty()) throw DataError("blocks = [], expected at least one");
  return table;
}

}  // namespace

std::vector<SpaceBlock> sample_blocks(const SearchSpace& space, int64_t networks, const Rng& rng) {
  std::map<network::Digest, SpaceBlock> found;
  for (int64_t k = 0; k < networks; ++k) {
    const network::Network deployed = network::deploy(space.lower(drawn(space, k, rng)));
    for (const network::Block& block : network::structural_blocks(deployed)) {
      SpaceBlock& known = found[block.structure];
      if (++known.occurrences > 1) continue;
      known.name = block.name;
      known.structure = block.structure;
      known.macs = block.macs;
      known.network = network::block_network(deployed, block.name);
    }
  }
  std::vector<SpaceBlock> blocks;
  for (auto& [structure, block] : found) blocks.push_back(std::move(block));
  std::stable_sort(blocks.begin(), blocks.end(), [](const SpaceBlock& a, const SpaceBlock& b) {
    return a.occurrences > b.occurrences;
  });
  return blocks;
}

models::PartCosts BlockTable::costs() const {
  models::PartCosts costs;
  for (const Block& block : blocks) costs[block.structure.words[0]] = block.median_ms;
  return costs;
}

void reconcile(const SearchSpace& space, BlockTable& table) {
  if (table.networks.size() < BlockTable::kLeastNetworks || table.blocks.empty()) {
    throw InvariantError("reconcile: " + std::to_string(table.blocks.size()) + " blocks and " +
                         std::to_string(table.networks.size()) +
                         " networks, expected at least 1 and 8");
  }
  const models::PartCosts costs = table.costs();
  const double ms_per_mac = time_per_mac(table);
  std::vector<models::Features> samples;
  std::vector<models::Prediction> sums;
  std::vector<double> labels;
  for (BlockTable::Whole& whole : table.networks) {
    samples.push_back(model_features(space, make_candidate(space, whole.architecture, 0)));
    labels.push_back(std::log(whole.median_ms));
    whole.sum_ms = 0.0;
    for (const models::Part& part : samples.back().parts) {
      const auto known = costs.find(part.key);
      whole.sum_ms += part.count * (known != costs.end() ? known->second : ms_per_mac * part.prior);
    }
    sums.push_back({std::log(whole.sum_ms), 0.0});
  }
  table.reports = {models::assess("sum", sums, labels)};
  models::AdditiveTable::Options options;
  models::AdditiveTable by_macs(options);
  options.measured = costs;
  models::AdditiveTable reconciled(options);
  table.reports.push_back(report_of("reconciled", reconciled, samples, labels));
  table.reports.push_back(report_of("by MACs", by_macs, samples, labels));
}

std::string to_json(const BlockTable& table) {
  Json blocks = Json::array();
  for (const BlockTable::Block& block : table.blocks) blocks.push_back(to_json(block));
  Json networks = Json::array();
  for (const BlockTable::Whole& whole : table.networks) {
    networks.push_back({{"architecture", whole.architecture.to_string()},
                        {"median_ms", whole.median_ms},
                        {"sum_ms", whole.sum_ms}});
  }
  Json reports = Json::array();
  for (const models::ModelReport& report : table.reports) reports.push_back(to_json(report));
  const Json json = {{"format", kFormat},
                     {"space", table.space},
                     {"device", table.device},
                     {"fingerprint", table.fingerprint},
                     {"engine", table.engine},
                     {"engine_version", table.engine_version},
                     {"precision", latency::to_string(table.precision)},
                     {"threads", table.threads},
                     {"covered", table.covered},
                     {"reports", reports},
                     {"networks", networks},
                     {"blocks", blocks}};
  return json.dump(1) + "\n";
}

BlockTable read_block_table(const std::filesystem::path& file) {
  try {
    return table_from(Json::parse(read_file(file, kLargestFile)));
  } catch (const Json::exception& error) {
    throw DataError(file.string() + ": not a block table of lathe: " + error.what());
  } catch (const Error& error) {
    const std::string what = error.what();
    if (what.rfind(file.string(), 0) == 0) throw;
    throw DataError(file.string() + ": " + what);
  }
}

}  // namespace lathe::search
