#include "network/reference_networks.h"

#include <doctest/doctest.h>

#include "network/cost.h"
#include "network/passes.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

TEST_CASE("Published networks have their published counts") {
  struct Expected {
    const char* name;
    int64_t macs;
    int64_t params;
  };
  // Multiply-accumulates at 224 and parameters with 1000 classes, of the published definitions.
  const Expected table[] = {
      {"mobilenet_v1", 568740352, 4231976},     {"mobilenet_v2", 300774272, 3504872},
      {"mobilenet_v2_0.35", 59285808, 1677128}, {"mnasnet", 314415872, 4383312},
      {"efficientnet_b0", 385814752, 5288548},  {"shufflenet_v2", 144907992, 2278604},
      {"resnet18", 1814073344, 11689512},
  };
  std::vector<std::string> names;
  for (const Expected& expected : table) {
    CAPTURE(std::string(expected.name));
    const Network network = reference_network(expected.name);
    CHECK(cost(network).macs == expected.macs);
    CHECK(cost(network).params == expected.params);
    CHECK(network.output_shape() == Shape{1, 1000});
    CHECK(cost(deploy(network)).macs == expected.macs);
    names.emplace_back(expected.name);
  }
  CHECK(reference_network_names() == names);
}

TEST_CASE("Published networks follow resolution, channels and classes") {
  for (const std::string& name : reference_network_names()) {
    CAPTURE(name);
    const Network network = reference_network(name, {64, 1, 10});
    CHECK(network.input_shape() == Shape{1, 1, 64, 64});
    CHECK(network.output_shape() == Shape{1, 10});
  }
  // MobileNetV2's features shrink with the area; its classifier of 1280 x 1000 does not.
  const int64_t features = 300774272 - 1280 * 1000;
  CHECK(cost(reference_network("mobilenet_v2", {448, 3, 1000})).macs == 4 * features + 1280000);
}

TEST_CASE("MobileNetV2's largest moment is the first depthwise layer of stride 2") {
  // 96 channels at 112 x 112 become 96 at 56 x 56; nothing else is alive.
  CHECK(cost(reference_network("mobilenet_v2")).peak_activation_bytes ==
        4 * (96 * 112 * 112 + 96 * 56 * 56));
}

TEST_CASE("An unknown network lists the known ones") {
  CHECK(test::message_of<ConfigError>([] { reference_network("vgg"); }) ==
        "reference network = vgg, expected one of mobilenet_v1, mobilenet_v2, mobilenet_v2_0.35, "
        "mnasnet, efficientnet_b0, shufflenet_v2, resnet18");
}

}  // namespace
}  // namespace lathe::network
