#include "experiments/search/scaling_study.h"

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "network/cost.h"

namespace lathe::study {
namespace {

constexpr double kBasePixels = 224.0;

struct Published {
  const char* name;
  double width, depth;
  int64_t resolution;
  double paper_params, paper_macs;
  int64_t reference_params;
};
constexpr std::array<Published, 8> kPublished = {{
    {"B0", 1.0, 1.0, 224, 5.3e6, 0.39e9, 5288548},
    {"B1", 1.0, 1.1, 240, 7.8e6, 0.70e9, 7794184},
    {"B2", 1.1, 1.2, 260, 9.2e6, 1.0e9, 9109994},
    {"B3", 1.2, 1.4, 300, 12e6, 1.8e9, 12233232},
    {"B4", 1.4, 1.8, 380, 19e6, 4.2e9, 19341616},
    {"B5", 1.6, 2.2, 456, 30e6, 9.9e9, 30389784},
    {"B6", 1.8, 2.6, 528, 43e6, 19e9, 43040704},
    {"B7", 2.0, 3.1, 600, 66e6, 37e9, 66347960},
}};

/// The blocks of B0: one option text a stage.
struct Stage {
  const char *depth, *width, *kernel;
};
constexpr std::array<Stage, 7> kStages = {{{"1", "16", "3"},
                                           {"2", "24", "3"},
                                           {"2", "40", "5"},
                                           {"3", "80", "3"},
                                           {"3", "112", "5"},
                                           {"4", "192", "5"},
                                           {"1", "320", "3"}}};

/// The option of B0 for a gene of the space.
std::string b0_option(const std::string& gene) {
  static const std::map<std::string, std::string> kPlain = {
      {"resolution", "224"}, {"stem.width", "32"}, {"head.width", "1280"}};
  const auto plain = kPlain.find(gene);
  if (plain != kPlain.end()) return plain->second;
  const size_t number = gene.rfind("stage", 0) == 0 ? static_cast<size_t>(gene[5] - '1') : 7;
  const std::string option = gene.substr(gene.rfind('.') + 1);
  if (number < kStages.size()) {
    if (option == "depth") return kStages[number].depth;
    if (option == "width") return kStages[number].width;
    if (option == "kernel") return kStages[number].kernel;
    if (option == "expand") return "6";
    if (option == "squeeze_excite") return "true";
  }
  throw DataError("scaling study: gene " + gene + ", expected one of EfficientNet's");
}

search::Architecture b0_of(const search::SearchSpace& space) {
  search::Architecture architecture;
  for (const search::Gene& gene : space.genes()) {
    const std::string wanted = b0_option(gene.name);
    size_t index = 0;
    while (index < gene.options.size() && gene.options[index] != wanted) ++index;
    if (index == gene.options.size()) {
      throw DataError("scaling study: gene " + gene.name + " of " + space.name() +
                      " has no option " + wanted + ", which EfficientNet-B0 needs");
    }
    architecture.genes.push_back(static_cast<uint16_t>(index));
  }
  return space.canonical(architecture);
}

double deviation(double value, double published) { return value / published - 1.0; }

std::string printed(const char* format, double value) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, value);
  return buffer.data();
}

std::string row(const ScaledNetwork& network) {
  const auto params = static_cast<double>(network.params);
  const auto macs = static_cast<double>(network.macs);
  const bool equal = network.params == network.reference_params;
  std::string text = "| " + network.name + " | " + printed("%.1f", network.factors.width) + ", " +
                     printed("%.1f", network.factors.depth) + ", " +
                     std::to_string(network.resolution);
  text += " | " + printed("%.3g M", network.paper_params / 1e6) + " | " +
          std::to_string(network.reference_params) + " | " + std::to_string(network.params) +
          (equal ? " (equal)" : " (differs)") + " | " +
          printed("%+.1f %%", 100.0 * deviation(params, network.paper_params));
  text += " | " + printed("%.2g G", network.paper_macs / 1e9) + " | " +
          printed("%.3f G", macs / 1e9) + " | " +
          printed("%+.1f %%", 100.0 * deviation(macs, network.paper_macs)) + " |\n";
  return text;
}

}  // namespace

std::vector<ScaledNetwork> scale_efficientnet(const std::filesystem::path& path) {
  const std::unique_ptr<search::SearchSpace> space = search::read_search_space(path);
  const auto* staged = dynamic_cast<const search::StagedSpace*>(space.get());
  if (staged == nullptr) throw DataError(path.string() + ": expected a space of stages");
  const search::Architecture b0 = b0_of(*staged);
  std::vector<ScaledNetwork> networks;
  for (const Published& published : kPublished) {
    ScaledNetwork network;
    network.name = published.name;
    network.resolution = published.resolution;
    network.factors = {published.depth, published.width,
                       static_cast<double>(published.resolution) / kBasePixels};
    network.paper_params = published.paper_params;
    network.paper_macs = published.paper_macs;
    network.reference_params = published.reference_params;
    const search::StagedSpace scaled(search::scale(*staged, b0, network.factors));
    const network::Cost cost = network::cost(scaled.lower(scaled.largest()));
    network.params = cost.params;
    network.macs = cost.macs;
    networks.push_back(network);
  }
  return networks;
}

namespace {

nlohmann::json scaling_json(const std::vector<ScaledNetwork>& networks) {
  nlohmann::json rows = nlohmann::json::array();
  for (const ScaledNetwork& network : networks) {
    rows.push_back(
        {{"name", network.name},
         {"width", network.factors.width},
         {"depth", network.factors.depth},
         {"resolution", network.resolution},
         {"paper", {{"params", network.paper_params}, {"macs", network.paper_macs}}},
         {"reference_params", network.reference_params},
         {"here", {{"params", network.params}, {"macs", network.macs}}},
         {"params_deviation", deviation(static_cast<double>(network.params), network.paper_params)},
         {"macs_deviation", deviation(static_cast<double>(network.macs), network.paper_macs)}});
  }
  return rows;
}

std::string scaling_markdown(const std::vector<ScaledNetwork>& networks) {
  std::string text =
      "# EfficientNet-B0 scaled to B1-B7\n\n"
      "Compound scaling by the published factors (Tan and Le, 2019) of the B0 that is an "
      "architecture of\n`configs/spaces/efficientnet_224.yaml`. The reference is the port in "
      "torchvision, whose documentation lists exact\nparameter counts. MACs are counted here as "
      "multiply-accumulates of every convolution and linear layer.\n\n"
      "| | width, depth, pixels | paper: params | reference: params | here: params | off the paper "
      "| paper: MACs | here: MACs | off the paper |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  bool all_equal = true;
  for (const ScaledNetwork& network : networks) {
    text += row(network);
    all_equal = all_equal && network.params == network.reference_params;
  }
  if (all_equal) {
    text +=
        "\nAll parameter counts equal the reference's to the last one. What is off the paper's is "
        "the paper's rounding to\ntwo digits: 12 M and 19 M stand for 12,233,232 and 19,341,616.\n";
  }
  return text;
}

}  // namespace

int scaling_main(int argc, char** argv) {
  CLI::App app{"EfficientNet-B0 scaled to B1-B7 by the published factors, beside the paper"};
  std::string space = "configs/spaces/efficientnet_224.yaml";
  std::string out = "results.json";
  app.add_option("space", space, "the space that holds B0")->capture_default_str();
  add_out(app, out);
  app.add_flag("--quick", "no difference: it takes a moment");
  return run_study(app, "scaling", argc, argv, [&] {
    const std::vector<ScaledNetwork> networks = scale_efficientnet(space);
    std::printf("%s", scaling_markdown(networks).c_str());
    merge_results(out, {{"scaling", scaling_json(networks)}});
  });
}

}  // namespace lathe::study
