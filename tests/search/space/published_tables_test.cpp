// The families reproduce the multiply-accumulates and parameters of the papers' networks at 224
// pixels and 1000 classes. Each network is a space with one option everywhere.

#include <doctest/doctest.h>

#include <cmath>

#include "network/cost.h"
#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

network::Network network_of(const std::string& stem, const std::vector<std::string>& stages,
                            const std::string& head = "{}", const std::string& epsilon = "1e-5") {
  std::string text = "{input: {resolution: 224}, classes: 1000, stem: " + stem + ", head: " + head +
                     ", batch_norm: {epsilon: " + epsilon + "}, stages: [";
  for (const std::string& stage : stages) text += "{" + stage + "}, ";
  const auto space = space_from(text + "]}");
  REQUIRE(space->count() == "1");
  return space->lower(space->largest());
}

std::string stage_text(const std::string& block, int64_t width, int64_t depth, int64_t stride,
                       const std::string& options = "") {
  return "block: " + block + ", width: " + std::to_string(width) +
         ", depth: " + std::to_string(depth) + ", stride: " + std::to_string(stride) +
         (options.empty() ? "" : ", " + options);
}

/// Multiply-accumulates and weights (no BN, no biases) by kind of layer.
struct Shares {
  int64_t pointwise = 0, depthwise = 0, spatial = 0, linear = 0;
  int64_t total() const { return pointwise + depthwise + spatial + linear; }
  double percent(int64_t part) const {
    return std::round(1e4 * static_cast<double>(part) / static_cast<double>(total())) / 100.0;
  }
};

Shares shares_of(const network::Network& network, bool of_macs) {
  Shares shares;
  const std::vector<int64_t> macs = network::node_macs(network);
  for (const network::Node& node : network.nodes()) {
    if (node.parameters.empty()) continue;
    const int64_t amount = of_macs ? macs[static_cast<size_t>(node.id)]
                                   : network::element_count(node.parameters[0].shape);
    if (std::holds_alternative<network::Linear>(node.op)) shares.linear += amount;
    const auto* conv = std::get_if<network::Conv2d>(&node.op);
    if (conv == nullptr) continue;
    int64_t& part = conv->groups > 1    ? shares.depthwise
                    : conv->kernel == 1 ? shares.pointwise
                                        : shares.spatial;
    part += amount;
  }
  return shares;
}

network::Network mobilenet_v1(const std::string& block) {
  std::vector<std::string> stages;
  const std::pair<int64_t, int64_t> layers[] = {{64, 1},  {128, 2},  {128, 1}, {256, 2}, {256, 1},
                                                {512, 2}, {512, 1},  {512, 1}, {512, 1}, {512, 1},
                                                {512, 1}, {1024, 2}, {1024, 1}};
  for (const auto& [width, stride] : layers) stages.push_back(stage_text(block, width, 1, stride));
  return network_of("{width: 32, stride: 2}", stages);
}

network::Network mobilenet_v2(double width_multiplier) {
  const auto width = [width_multiplier](double base) {
    return make_divisible(base * width_multiplier);
  };
  const std::string relu6 = "activation: relu6";
  std::vector<std::string> stages = {stage_text("mbconv", width(16), 1, 1, "expand: 1, " + relu6)};
  const int64_t rows[][3] = {{24, 2, 2}, {32, 3, 2},  {64, 4, 2},
                             {96, 3, 1}, {160, 3, 2}, {320, 1, 1}};
  for (const auto& [base, depth, stride] : rows) {
    stages.push_back(stage_text("mbconv", width(static_cast<double>(base)), depth, stride, relu6));
  }
  const int64_t head = std::max<int64_t>(1280, width(1280));
  return network_of("{width: " + std::to_string(width(32)) + ", stride: 2, activation: relu6}",
                    stages, "{width: " + std::to_string(head) + ", activation: relu6}");
}

network::Network shuffle_net_v1(int64_t groups, int64_t stem, int64_t first_width) {
  const std::string options = "groups: " + std::to_string(groups);
  return network_of("{width: " + std::to_string(stem) + ", stride: 2, pool: true}",
                    {stage_text("shuffle_v1", first_width, 4, 2, options + ", dense_first: true"),
                     stage_text("shuffle_v1", 2 * first_width, 8, 2, options),
                     stage_text("shuffle_v1", 4 * first_width, 4, 2, options)});
}

network::Network res_net(const std::string& block, int64_t widen,
                         const std::vector<int64_t>& depths) {
  std::vector<std::string> stages;
  for (size_t i = 0; i < depths.size(); ++i) {
    stages.push_back(stage_text(block, widen * (int64_t{64} << i), depths[i], i == 0 ? 1 : 2));
  }
  return network_of("{width: 64, kernel: 7, stride: 2, pool: true}", stages);
}

TEST_CASE("MobileNetV1 has the paper's counts and shares") {
  const network::Network network = mobilenet_v1("separable");
  CHECK(network::cost(network).macs == 568740352);
  const Shares macs = shares_of(network, true);
  CHECK(macs.total() == 568740352);
  CHECK(macs.percent(macs.pointwise) == 94.86);
  CHECK(macs.percent(macs.depthwise) == 3.06);
  CHECK(macs.percent(macs.spatial) == 1.91);  // the stem; the paper misprints 1.19
  const Shares weights = shares_of(network, false);
  CHECK(weights.total() == 4209088);
  CHECK(weights.percent(weights.pointwise) == 74.59);
  CHECK(weights.percent(weights.depthwise) == 1.06);
  CHECK(weights.percent(weights.spatial) == 0.02);
  CHECK(weights.percent(weights.linear) == 24.33);
}

TEST_CASE("MobileNetV1 of full convolutions has the paper's counts") {
  const network::Network network = mobilenet_v1("conv");
  CHECK(std::lround(static_cast<double>(network::cost(network).macs) / 1e6) == 4867);
  CHECK(std::lround(static_cast<double>(shares_of(network, false).total()) / 1e4) == 2928);
}

TEST_CASE("MobileNetV2 has the published counts") {
  const network::Cost plain = network::cost(mobilenet_v2(1.0));
  CHECK(plain.macs == 300774272);
  CHECK(plain.params == 3504872);
  const network::Cost wide = network::cost(mobilenet_v2(1.4));
  CHECK(wide.macs == 582195824);
  CHECK(wide.params == 6108776);
}

TEST_CASE("ShuffleNetV1 has the paper's complexity for every number of groups") {
  const struct {
    int64_t groups, stem, width;
    double paper_millions;
  } rows[] = {{1, 24, 144, 143}, {2, 24, 200, 140}, {3, 24, 240, 137},
              {4, 24, 272, 133}, {8, 24, 384, 137}, {3, 24, 360, 292}};
  for (const auto& row : rows) {
    const double millions =
        static_cast<double>(network::cost(shuffle_net_v1(row.groups, row.stem, row.width)).macs) /
        1e6;
    CAPTURE(row.groups);
    CAPTURE(millions);
    CHECK(std::abs(millions / row.paper_millions - 1.0) <= 0.015);
  }
}

TEST_CASE("ShuffleNetV2 1.0x has the published counts") {
  const network::Network network =
      network_of("{width: 24, stride: 2, pool: true}",
                 {stage_text("shuffle_v2", 116, 4, 2), stage_text("shuffle_v2", 232, 8, 2),
                  stage_text("shuffle_v2", 464, 4, 2)},
                 "{width: 1024}");
  CHECK(network::cost(network).macs == 144907992);
  CHECK(network::cost(network).params == 2278604);
}

TEST_CASE("ResNet-18 and ResNet-50 have the published counts") {
  const network::Cost resnet18 = network::cost(res_net("residual_basic", 1, {2, 2, 2, 2}));
  CHECK(resnet18.macs == 1814073344);
  CHECK(resnet18.params == 11689512);
  const network::Cost resnet50 = network::cost(res_net("residual_bottleneck", 4, {3, 4, 6, 3}));
  CHECK(resnet50.macs == 4089184256);
  CHECK(resnet50.params == 25557032);
}

TEST_CASE("MNASNet 1.0 has the published counts") {
  const network::Cost cost = network::cost(network_of(
      "{width: 32, stride: 2}",
      {stage_text("mbconv", 16, 1, 1, "expand: 1"), stage_text("mbconv", 24, 3, 2, "expand: 3"),
       stage_text("mbconv", 40, 3, 2, "expand: 3, kernel: 5"),
       stage_text("mbconv", 80, 3, 2, "kernel: 5"), stage_text("mbconv", 96, 2, 1),
       stage_text("mbconv", 192, 4, 2, "kernel: 5"), stage_text("mbconv", 320, 1, 1)},
      "{width: 1280}"));
  CHECK(cost.macs == 314415872);
  CHECK(cost.params == 4383312);
}

TEST_CASE("EfficientNet-B0 has the published counts") {
  const std::string options = "squeeze_excite: true, squeeze: input, activation: swish, ";
  const network::Cost cost =
      network::cost(network_of("{width: 32, stride: 2, activation: swish}",
                               {stage_text("mbconv", 16, 1, 1, options + "expand: 1"),
                                stage_text("mbconv", 24, 2, 2, options + "kernel: 3"),
                                stage_text("mbconv", 40, 2, 2, options + "kernel: 5"),
                                stage_text("mbconv", 80, 3, 2, options + "kernel: 3"),
                                stage_text("mbconv", 112, 3, 1, options + "kernel: 5"),
                                stage_text("mbconv", 192, 4, 2, options + "kernel: 5"),
                                stage_text("mbconv", 320, 1, 1, options + "kernel: 3")},
                               "{width: 1280, activation: swish}", "0.001"));
  CHECK(cost.macs == 385814752);
  CHECK(cost.params == 5288548);
}

TEST_CASE("MobileNetV3-Large has the published parameters") {
  const auto block = [](int64_t width, int64_t stride, int64_t kernel, const char* expand,
                        bool gate, const char* activation) {
    return stage_text("mbconv", width, 1, stride,
                      "kernel: " + std::to_string(kernel) + ", expand: " + expand +
                          ", squeeze_excite: " + (gate ? "true" : "false") +
                          ", activation: " + activation);
  };
  const char* relu = "relu";
  const char* swish = "hard_swish";
  const network::Network network =
      network_of("{width: 16, stride: 2, activation: hard_swish}",
                 {block(16, 1, 3, "1", false, relu), block(24, 2, 3, "4", false, relu),
                  block(24, 1, 3, "3", false, relu), block(40, 2, 5, "3", true, relu),
                  block(40, 1, 5, "3", true, relu), block(40, 1, 5, "3", true, relu),
                  block(80, 2, 3, "6", false, swish), block(80, 1, 3, "2.5", false, swish),
                  block(80, 1, 3, "2.3", false, swish), block(80, 1, 3, "2.3", false, swish),
                  block(112, 1, 3, "6", true, swish), block(112, 1, 3, "6", true, swish),
                  block(160, 2, 5, "6", true, swish), block(160, 1, 5, "6", true, swish),
                  block(160, 1, 5, "6", true, swish)},
                 "{width: 960, hidden: 1280, activation: hard_swish}", "0.001");
  CHECK(network::cost(network).params == 5483032);
}

}  // namespace
}  // namespace lathe::search
