#include <doctest/doctest.h>

#include <algorithm>

#include "network/cost.h"
#include "network/passes.h"
#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

std::string message_of(const std::string& text) {
  try {
    read_search_space_text(text, "s.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::string> node_names(const network::Network& network, const std::string& prefix) {
  std::vector<std::string> names;
  for (const network::Node& node : network.nodes()) {
    if (node.name.rfind(prefix, 0) == 0) names.push_back(node.name.substr(prefix.size()));
  }
  return names;
}

/// A space of two stages of one family, elastic in all that the family knows.
std::string elastic_text(const std::string& block, const std::string& options) {
  return "input: {resolution: [16, 24]}\nclasses: 4\nstem: {width: [12, 24]}\nstages:\n"
         "  - {block: " +
         block + ", depth: [1, 2], width: [24, 48], stride: 1, " + options +
         "}\n"
         "  - {block: " +
         block + ", depth: [1, 3], width: [72, 96], stride: 2, " + options + "}\n";
}

const std::pair<const char*, const char*> kElastic[] = {
    {"conv", "kernel: [3, 5], activation: [relu, hard_swish]"},
    {"conv_crelu", "kernel: [3, 5]"},
    {"mbconv", "kernel: [3, 5], expand: [1, 3, 6], squeeze_excite: [false, true]"},
    {"residual_basic", "kernel: [3, 5], expand: [0.5, 1], squeeze_excite: [false, true]"},
    {"residual_bottleneck", "kernel: [3, 5], expand: [0.25, 0.5], squeeze_excite: [false, true]"},
    {"separable", "kernel: [3, 5, 7]"},
    {"shuffle_v2", "kernel: [3, 5], expand: [0.5, 1, 2], squeeze_excite: [false, true]"},
};

void check_fits(const SearchSpace& space, const std::map<std::string, network::Shape>& shared,
                const Architecture& architecture) {
  const network::Network network = space.lower(architecture);
  REQUIRE(misfit(shared, network) == "");
  REQUIRE(network.output_shape() == network::Shape{1, 4});
}

TEST_CASE("Every elastic family lowers, fits its shared tensors and gives distinct networks") {
  for (const auto& [block, options] : kElastic) {
    CAPTURE(std::string(block));
    const auto space = space_from(elastic_text(block, options));
    const auto shared = shared_shapes(*space);
    Rng rng(1);
    std::set<Architecture> architectures;
    std::set<network::Digest> digests;
    for (int i = 0; i < 100; ++i) {
      const Architecture drawn = i % 2 == 0 ? space->sample(rng) : space->sample_genes(rng);
      check_fits(*space, shared, drawn);
      architectures.insert(drawn);
      digests.insert(digest_of(*space, drawn));
      REQUIRE(mutate(*space, drawn, {}, rng) != drawn);
      if (i % 10 > 0) continue;
      const network::Network network = space->lower(drawn);
      CHECK(network::cost(network::deploy(network)).macs == network::cost(network).macs);
    }
    CHECK(digests.size() == architectures.size());
  }
}

TEST_CASE("shuffle_v1 with elastic widths covers the branch that is wider beside a narrow input") {
  const auto space = space_from(R"(
input: {resolution: 16}
classes: 4
stem: {width: [12, 24]}
stages:
  - {block: shuffle_v1, width: [48, 72], stride: 2, depth: [1, 2], kernel: [3, 5], groups: 3, dense_first: true}
)");
  const auto shared = shared_shapes(*space);
  // 72 - 12 channels come from the branch when the stem is narrow, 72 - 24 when it is wide.
  CHECK(shared.at("stage1.block0.project.conv.weight") == network::Shape{60, 6, 1, 1});
  CHECK(space->covering().size() == 2);
  for (const Architecture& genotype : all_genotypes(*space)) check_fits(*space, shared, genotype);
}

TEST_CASE("A residual block has a shortcut convolution exactly where its input does not fit") {
  const auto space = space_from(R"(
input: {resolution: 16}
classes: 4
stem: {width: [16, 32]}
stages: [{name: body, block: residual_basic, width: [16, 32]}]
)");
  const auto has_shortcut = [&space](uint16_t stem, uint16_t width) {
    return !node_names(space->lower(Architecture{{stem, width}}), "body.block0.shortcut.").empty();
  };
  CHECK_FALSE(has_shortcut(0, 0));
  CHECK(has_shortcut(0, 1));
  CHECK(has_shortcut(1, 0));
  CHECK_FALSE(has_shortcut(1, 1));
  // The largest has none, so another network must hold the shared tensor.
  CHECK(shared_shapes(*space).at("body.block0.shortcut.conv.weight") ==
        network::Shape{32, 32, 1, 1});
}

TEST_CASE("A ShuffleNetV2 unit splits in half at stride 1 and uses the whole input otherwise") {
  const auto space = space_from(R"(
input: {resolution: 16}
classes: 4
stem: {width: 16}
stages: [{name: body, block: shuffle_v2, depth: 2, width: 32, stride: 2}]
)");
  const network::Network network = space->lower(Architecture{});
  CHECK(node_names(network, "body.block0.") ==
        std::vector<std::string>{
            "first.depthwise.conv", "first.depthwise.bn", "first.pointwise.conv",
            "first.pointwise.bn", "first.pointwise.act", "second.expand.conv", "second.expand.bn",
            "second.expand.act", "second.depthwise.conv", "second.depthwise.bn",
            "second.project.conv", "second.project.bn", "second.project.act", "join", "shuffle"});
  CHECK(node_names(network, "body.block1.") ==
        std::vector<std::string>{"pass", "split", "second.expand.conv", "second.expand.bn",
                                 "second.expand.act", "second.depthwise.conv",
                                 "second.depthwise.bn", "second.project.conv", "second.project.bn",
                                 "second.project.act", "join", "shuffle"});
  CHECK(network.node(network.output() - 4).name == "body.block1.join");
}

TEST_CASE("Widths that a family cannot build are refused with the block and widths") {
  const std::string start =
      "input: {resolution: 8}\nclasses: 2\nstem: {width: [24, 48]}\nstages:\n";
  CHECK(
      message_of(start +
                 "  - {block: shuffle_v2, width: [32, 33]}\n  - {block: shuffle_v2, width: 7}\n") ==
      R"(s.yaml:5: /stages/0/width = [32, 33], expected even widths (shuffle_v2 stage1.block0, 24 channels to 33, stride 1)
s.yaml:6: /stages/1/width = 7, expected even widths (shuffle_v2 stage2.block0, 32 channels to 7, stride 1))");
  CHECK(message_of(start + "  - {block: shuffle_v1, width: [36, 60], stride: 2}\n") ==
        "s.yaml:5: /stages/0/width = [36, 60], expected widths larger than those before the stage "
        "(shuffle_v1 stage1.block0, 48 channels to 36, stride 2)");
  CHECK(message_of(start + "  - {block: shuffle_v1, width: 96, groups: 5}\n") ==
        "s.yaml:5: /stages/0/width = 96, expected width * expand to be a multiple of 5 groups "
        "(shuffle_v1 stage1.block0, 24 channels to 96, stride 1)");
  CHECK(message_of(start + "  - {block: shuffle_v1, width: 100, expand: 0.03, groups: 3}\n") ==
        "s.yaml:5: /stages/0/width = 100, expected the gain in width to be a multiple of 3 groups "
        "(shuffle_v1 stage1.block0, 24 channels to 100, stride 1)");
}

const char* kMixed = R"(
name: mixed
input: {resolution: 16}
classes: 4
stem: {width: [16, 32]}
stages:
  - name: body
    block: [separable, mbconv, shuffle_v2, residual_basic]
    depth: [1, 2]
    width: [16, 32]
    stride: 2
    mbconv: {kernel: [3, 5], expand: [2, 3]}
    shuffle_v2: {kernel: [3, 5, 7]}
)";

TEST_CASE("A stage with several families has the family as a gene of each block") {
  const auto space = space_from(kMixed);
  std::vector<std::string> names;
  for (const Gene& gene : space->genes()) names.push_back(gene.name);
  CHECK(names == std::vector<std::string>{"stem.width", "body.depth", "body.width",
                                          "body.block0.block", "body.block0.mbconv.kernel",
                                          "body.block0.mbconv.expand",
                                          "body.block0.shuffle_v2.kernel", "body.block1.block",
                                          "body.block1.mbconv.kernel", "body.block1.mbconv.expand",
                                          "body.block1.shuffle_v2.kernel"});
  CHECK(space->genes()[3].options ==
        std::vector<std::string>{"separable", "mbconv", "shuffle_v2", "residual_basic"});
  // 4 pairs of widths, 1 + 4 + 3 + 1 blocks, depth 1 or 2.
  CHECK(space->count() == std::to_string(4 * (9 + 81)));
  std::set<Architecture> canonical;
  for (const Architecture& genotype : all_genotypes(*space)) {
    canonical.insert(space->canonical(genotype));
  }
  std::set<network::Digest> networks;
  for (const Architecture& architecture : canonical) {
    networks.insert(digest_of(*space, architecture));
  }
  CHECK(std::to_string(canonical.size()) == space->count());
  CHECK(networks.size() == canonical.size());
}

TEST_CASE("Options of a family that was not chosen are inactive") {
  const auto space = space_from(kMixed);
  const Architecture architecture{{0, 0, 0, 2, 1, 1, 2, 3, 1, 1, 2}};
  CHECK(space->canonical(architecture) == Architecture{{0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0}});
  CHECK(space->active(architecture) ==
        std::vector<bool>{true, true, true, true, false, false, true, false, false, false, false});
  CHECK(space->describe(architecture) ==
        "16px | stem w16 k3 relu | body w16: 1x shuffle_v2 k7 e1 relu");
}

TEST_CASE(
    "The largest and smallest architectures take the families with the most and fewest "
    "operations") {
  const auto space = space_from(kMixed);
  CHECK(space->describe(space->largest()) ==
        "16px | stem w32 k3 relu | body w32: 2x residual_basic k3 e1 relu");
  CHECK(space->describe(space->smallest()) ==
        "16px | stem w16 k3 relu | body w16: 1x separable k3 relu");
}

TEST_CASE("Covering networks hold the tensors of every family") {
  const auto space = space_from(kMixed);
  const auto shared = shared_shapes(*space);
  CHECK(shared.count("body.block0.mbconv.expand.conv.weight") == 1);
  CHECK(shared.count("body.block1.residual_basic.inner.conv.weight") == 1);
  CHECK(shared.at("body.block1.shuffle_v2.second.depthwise.conv.weight") ==
        network::Shape{16, 1, 7, 7});
  CHECK(shared.at("body.block1.residual_basic.inner.conv.weight") == network::Shape{32, 32, 3, 3});
  for (uint64_t i = 0; i < 360; ++i) check_fits(*space, shared, space->at(i));
  CHECK(space->covering().size() <= 5);
}

TEST_CASE("Mutation moves between families and draws the new one's options") {
  const auto space = space_from(kMixed);
  Rng rng(3);
  std::set<int> kernels;
  for (int i = 0; i < 500; ++i) {
    const Architecture child = mutate(*space, space->smallest(), {0.1}, rng);
    REQUIRE(space->canonical(child) == child);
    if (child.genes[3] == 1) kernels.insert(child.genes[4]);
  }
  CHECK(kernels == std::set<int>{0, 1});
}

}  // namespace
}  // namespace lathe::search
