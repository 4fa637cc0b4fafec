#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "network/cost.h"
#include "network/passes.h"
#include "search/space/network_builder.h"
#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

const network::Node& node_named(const network::Network& network, const std::string& name) {
  for (const network::Node& node : network.nodes()) {
    if (node.name == name) return node;
  }
  throw InvariantError("no node " + name);
}

bool has_node(const network::Network& network, const std::string& name) {
  return std::any_of(network.nodes().begin(), network.nodes().end(),
                     [&name](const network::Node& node) { return node.name == name; });
}

TEST_CASE("make_divisible rounds to the nearest multiple, up when that loses more than a tenth") {
  const std::pair<double, int64_t> cases[] = {
      {1, 8},     {8, 8},     {8.8, 8},   {8.9, 16},  {11.9, 16}, {12, 16},    {19, 24},
      {33.6, 32}, {44.8, 48}, {89.6, 88}, {184, 184}, {22.4, 24}, {134.4, 136}};
  for (const auto& [value, expected] : cases) CHECK(make_divisible(value) == expected);
  CHECK(make_divisible(10, 3) == 9);
  bool sound = true;
  int64_t previous = 0;
  for (int i = 0; i < 20000; ++i) {
    const int64_t rounded = make_divisible(i * 0.05);
    sound = sound && rounded >= previous && static_cast<double>(rounded) >= 0.9 * i * 0.05;
    previous = rounded;
  }
  CHECK(sound);
}

TEST_CASE("An MBConv block lowers to expansion, depthwise, gate, projection and residual") {
  const auto space = space_from(R"(
input: {channels: 3, resolution: 16}
classes: 5
stem: {width: 16, stride: 2, activation: relu6}
stages: [{name: body, block: mbconv, depth: 2, width: 16, kernel: 5, expand: 4, squeeze_excite: true, activation: hard_swish}]
head: {width: 32, hidden: 24, activation: swish}
)");
  const network::Network network = space->lower(Architecture{});
  std::vector<std::string> names;
  for (const network::Node& node : network.nodes()) names.push_back(node.name);
  const std::vector<std::string> block = {
      "expand.conv",   "expand.bn",     "expand.act",     "depthwise.conv", "depthwise.bn",
      "depthwise.act", "squeeze.pool",  "squeeze.reduce", "squeeze.act",    "squeeze.expand",
      "squeeze.gate",  "squeeze.scale", "project.conv",   "project.bn",     "add"};
  std::vector<std::string> expected = {"input", "stem.conv", "stem.bn", "stem.act"};
  for (const char* prefix : {"body.block0.", "body.block1."}) {
    for (const std::string& part : block) expected.push_back(prefix + part);
  }
  for (const char* name : {"head.conv", "head.bn", "head.act", "head.pool", "head.flatten",
                           "head.hidden", "head.hidden.act", "classifier"}) {
    expected.push_back(name);
  }
  CHECK(names == expected);
  CHECK(node_named(network, "body.block0.expand.conv").shape == network::Shape{1, 64, 8, 8});
  CHECK(node_named(network, "body.block0.depthwise.conv").parameters[0].shape ==
        network::Shape{64, 1, 5, 5});
  CHECK(node_named(network, "body.block0.depthwise.conv").parameters[0].name ==
        "body.block0.depthwise.conv.weight");
  CHECK(node_named(network, "body.block0.squeeze.reduce").shape == network::Shape{1, 16, 1, 1});
  CHECK(node_named(network, "body.block0.squeeze.reduce").parameters.size() == 2);
  CHECK(network.output_shape() == network::Shape{1, 5});
  CHECK(std::get<network::Activation>(node_named(network, "body.block0.squeeze.gate").op).kind ==
        network::ActivationKind::HardSigmoid);
  CHECK(std::get<network::Activation>(node_named(network, "stem.act").op).kind ==
        network::ActivationKind::Relu6);
}

TEST_CASE("squeeze: input takes its hidden width from the block's input and gates by sigmoid") {
  const auto space = space_from(R"(
input: {resolution: 16}
classes: 5
stem: {width: 24}
stages: [{name: body, block: mbconv, width: 40, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}]
)");
  const network::Network network = space->lower(Architecture{});
  CHECK(node_named(network, "body.block0.squeeze.reduce").shape == network::Shape{1, 6, 1, 1});
  CHECK(node_named(network, "body.block0.squeeze.expand").shape == network::Shape{1, 144, 1, 1});
  CHECK(std::get<network::Activation>(node_named(network, "body.block0.squeeze.act").op).kind ==
        network::ActivationKind::Swish);
  CHECK(std::get<network::Activation>(node_named(network, "body.block0.squeeze.gate").op).kind ==
        network::ActivationKind::Sigmoid);
}

TEST_CASE("MBConv has a residual only at stride 1 and equal widths, and no expansion at expand 1") {
  const auto space = space_from(R"(
input: {resolution: 16}
classes: 5
stem: {width: 16}
stages:
  - {name: equal, block: mbconv, width: 16, expand: 1}
  - {name: strided, block: mbconv, width: 16, stride: 2}
  - {name: wider, block: mbconv, width: 24}
)");
  const network::Network network = space->lower(Architecture{});
  CHECK(has_node(network, "equal.block0.add"));
  CHECK_FALSE(has_node(network, "equal.block0.expand.conv"));
  CHECK_FALSE(has_node(network, "strided.block0.add"));
  CHECK_FALSE(has_node(network, "wider.block0.add"));
  CHECK(has_node(network, "wider.block0.expand.conv"));
}

TEST_CASE("The stem's pool and the batch norm's epsilon reach the network") {
  const auto space = space_from(R"(
input: {resolution: 32}
classes: 5
stem: {width: 16, kernel: 7, stride: 2, pool: true}
stages: [{block: mbconv, width: 16}]
batch_norm: {epsilon: 0.001}
)");
  const network::Network network = space->lower(Architecture{});
  CHECK(node_named(network, "stem.conv").shape == network::Shape{1, 16, 16, 16});
  CHECK(node_named(network, "stem.pool").shape == network::Shape{1, 16, 8, 8});
  CHECK(std::get<network::BatchNorm>(node_named(network, "stem.bn").op).epsilon == 0.001);
}

TEST_CASE("Every space in configs/spaces lowers, fits the shared tensors and deploys") {
  for (const auto& entry :
       std::filesystem::directory_iterator(LATHE_SOURCE_DIR "/configs/spaces")) {
    if (entry.path().extension() != ".yaml") continue;
    CAPTURE(entry.path().string());
    const auto space = read_search_space(entry.path());
    CHECK(space->name() == entry.path().stem().string());
    const auto shared = shared_shapes(*space);
    const int64_t largest = network::cost(space->lower(space->largest())).macs;
    const int64_t smallest = network::cost(space->lower(space->smallest())).macs;
    CHECK(largest >= 5 * smallest);
    Rng rng(11);
    std::set<network::Digest> digests;
    std::set<Architecture> architectures;
    for (int i = 0; i < 40; ++i) {
      const Architecture drawn = i % 2 == 0 ? space->sample(rng) : space->sample_genes(rng);
      const network::Network network = space->lower(drawn);
      CHECK(misfit(shared, network).empty());
      const int64_t macs = network::cost(network).macs;
      CHECK(macs <= largest);
      CHECK(macs >= smallest);
      architectures.insert(drawn);
      digests.insert(network::digest(network, network::DigestKind::Computation));
      if (i < 4) {
        const network::Network deployed = network::deploy(network);
        CHECK(deployed.nodes().size() < network.nodes().size());
        CHECK(deployed.output_shape() == network.output_shape());
        CHECK(network::cost(deployed).macs == macs);
      }
    }
    CHECK(digests.size() == architectures.size());
  }
}

TEST_CASE("Thousands of different architectures have different digests") {
  const auto space = read_search_space(LATHE_SOURCE_DIR "/configs/spaces/mobilenet_28.yaml");
  Rng rng(12);
  std::set<Architecture> architectures;
  std::set<network::Digest> digests;
  for (int i = 0; i < 2000; ++i) {
    const Architecture drawn = space->sample(rng);
    if (architectures.insert(drawn).second) digests.insert(digest_of(*space, drawn));
  }
  CHECK(architectures.size() > 1800);
  CHECK(digests.size() == architectures.size());
}

TEST_CASE("Covering networks hold the expansion that the largest choice leaves out") {
  // expand 1 is the largest of {0.5, 1}, but only 0.5 has an expansion convolution.
  const auto space = space_from(R"(
input: {resolution: 8}
classes: 5
stem: {width: 32}
stages: [{name: body, block: mbconv, depth: [1, 2, 3], width: 32, expand: [0.5, 1]}]
)");
  const auto shared = shared_shapes(*space);
  CHECK(shared.at("body.block0.expand.conv.weight") == network::Shape{16, 32, 1, 1});
  CHECK(shared.at("body.block2.expand.conv.weight") == network::Shape{16, 32, 1, 1});
  CHECK(shared.at("body.block0.depthwise.conv.weight") == network::Shape{32, 1, 3, 3});
  CHECK(space->covering().front().nodes().size() == space->lower(space->largest()).nodes().size());
  for (const Architecture& genotype : all_genotypes(*space)) {
    CHECK(misfit(shared, space->lower(genotype)).empty());
  }
}

TEST_CASE("A deployed subnet computes what its network computes") {
  const auto space = space_from(kSmallSpace);
  Rng rng(2);
  network::Model model{space->lower(space->sample(rng)), {}};
  model.weights = network::random_weights(model.network, 3);
  const int64_t size = model.network.input_shape()[2];
  network::Tensor image{{1, 1, size, size}, {}};
  for (int64_t i = 0; i < size * size; ++i)
    image.values.push_back(static_cast<float>(rng.normal()));
  const network::Tensor expected = network::run_reference(model, image);
  const network::Tensor actual = network::run_reference(network::deploy(model), image);
  REQUIRE(actual.values.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(actual.values[i] == doctest::Approx(expected.values[i]).epsilon(1e-4));
  }
}

}  // namespace
}  // namespace lathe::search
