#include "search/space/scaling.h"

#include <doctest/doctest.h>

#include <cmath>

#include "network/cost.h"
#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

const char* kB0 = R"(
name: b0
input: {resolution: 224}
classes: 1000
stem: {width: 32, stride: 2, activation: swish}
stages:
  - {block: mbconv, width: 16, depth: 1, stride: 1, kernel: 3, expand: 1, squeeze_excite: true, squeeze: input, activation: swish}
  - {block: mbconv, width: 24, depth: 2, stride: 2, kernel: 3, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}
  - {block: mbconv, width: 40, depth: 2, stride: 2, kernel: 5, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}
  - {block: mbconv, width: 80, depth: 3, stride: 2, kernel: 3, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}
  - {block: mbconv, width: 112, depth: 3, stride: 1, kernel: 5, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}
  - {block: mbconv, width: 192, depth: 4, stride: 2, kernel: 5, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}
  - {block: mbconv, width: 320, depth: 1, stride: 1, kernel: 3, expand: 6, squeeze_excite: true, squeeze: input, activation: swish}
head: {width: 1280, activation: swish}
)";

network::Network lowered(StagedSpec spec) {
  const StagedSpace space(std::move(spec));
  REQUIRE(space.count() == "1");
  return space.lower(space.largest());
}

TEST_CASE("Compound scaling turns EfficientNet-B0 into B1 to B7 with the published parameters") {
  const auto b0 = space_from(kB0);
  const struct {
    double width, depth;
    int64_t resolution, params;
    double paper_giga_macs;
  } rows[] = {{1.0, 1.0, 224, 5288548, 0.39},  {1.0, 1.1, 240, 7794184, 0.70},
              {1.1, 1.2, 260, 9109994, 1.0},   {1.2, 1.4, 300, 12233232, 1.8},
              {1.4, 1.8, 380, 19341616, 4.2},  {1.6, 2.2, 456, 30389784, 9.9},
              {1.8, 2.6, 528, 43040704, 19.0}, {2.0, 3.1, 600, 66347960, 37.0}};
  for (const auto& row : rows) {
    ScaleFactors factors;
    factors.width = row.width;
    factors.depth = row.depth;
    factors.resolution = static_cast<double>(row.resolution) / 224.0;
    const network::Network network = lowered(scale(*b0, Architecture{}, factors));
    CAPTURE(row.resolution);
    CHECK(network.input_shape() == network::Shape{1, 3, row.resolution, row.resolution});
    const network::Cost cost = network::cost(network);
    CHECK(cost.params == row.params);
    // The paper rounds, and counts loosely.
    CHECK(static_cast<double>(cost.macs) / 1e9 ==
          doctest::Approx(row.paper_giga_macs).epsilon(0.1));
  }
}

TEST_CASE("Factors of 1 keep the work of any architecture") {
  for (const char* file : {"mobilenet_v3_32", "operators_32", "resnet_32", "shuffle_v2_32"}) {
    CAPTURE(std::string(file));
    const auto space =
        read_search_space(std::string(LATHE_SOURCE_DIR "/configs/spaces/") + file + ".yaml");
    const auto& staged = dynamic_cast<const StagedSpace&>(*space);
    Rng rng(1);
    for (int i = 0; i < 10; ++i) {
      const Architecture drawn = staged.sample(rng);
      CHECK(network::digest(lowered(scale(staged, drawn, {})), network::DigestKind::Structure) ==
            network::digest(staged.lower(drawn), network::DigestKind::Structure));
    }
  }
}

TEST_CASE("scale repeats the last block of a stage and drops blocks from its end") {
  const auto space = space_from(R"(
input: {resolution: 32}
classes: 10
stem: {width: 24}
stages: [{name: body, block: shuffle_v1, depth: 3, width: 60, stride: 2, kernel: [3, 5], dense_first: true}]
)");
  const Architecture architecture{{0, 0, 1}};
  const auto described = [&](const ScaleFactors& factors) {
    const StagedSpace scaled(scale(*space, architecture, factors));
    return scaled.describe(scaled.largest());
  };
  CHECK(described({1.4, 1.0, 1.0}) ==
        "32px | stem w24 k3 relu | body_block0 w60: 1x shuffle_v1 k3 e0.25 g3 relu | body_block1 "
        "w60: "
        "1x shuffle_v1 k3 e0.25 g3 relu | body_block2 w60: 1x shuffle_v1 k5 e0.25 g3 relu | "
        "body_block3 w60: 1x shuffle_v1 k5 e0.25 g3 relu | body_block4 w60: 1x shuffle_v1 k5 e0.25 "
        "g3 "
        "relu");
  CHECK(described({0.3, 1.0, 0.5}) ==
        "16px | stem w24 k3 relu | body_block0 w60: 1x shuffle_v1 k3 e0.25 g3 relu");
}

const char* kSteps = R"(
name: steps
input: {resolution: [16, 24, 32]}
classes: 10
stem: {width: [8, 16, 24]}
stages: [{block: mbconv, depth: [1, 2, 3, 4], width: [16, 24, 40], kernel: [3, 5], expand: 2, stride: 2}]
)";

TEST_CASE("scale_within takes the nearest choice of every size and keeps the rest") {
  const auto space = space_from(kSteps);
  // Resolution, stem's width, depth, width, and the kernel of each block.
  const Architecture base{{0, 0, 0, 0, 1, 0, 0, 0}};
  const struct {
    ScaleFactors factors;
    Architecture expected;
  } table[] = {
      {{1.0, 1.0, 1.0}, base},
      {{1.1, 1.0, 1.0}, {{0, 0, 1, 0, 1, 1, 0, 0}}},  // 1.1 blocks are 2, the new one as the last
      {{2.5, 1.0, 1.0}, {{0, 0, 2, 0, 1, 1, 1, 0}}},
      {{1.0, 1.1, 1.0}, base},                        // 8.8 and 17.6 channels are 8 and 16
      {{1.0, 1.2, 1.0}, {{0, 1, 0, 1, 1, 0, 0, 0}}},  // 9.6 is 16: 8 is more than 10 % less
      {{1.0, 2.0, 1.0}, {{0, 1, 0, 1, 1, 0, 0, 0}}},  // of 24 and 40, 32 takes the smaller
      {{1.0, 2.3, 1.0}, {{0, 2, 0, 2, 1, 0, 0, 0}}},  // 18.4 is 24, 36.8 is 40
      {{1.0, 1.0, 1.25}, base},                       // 20 pixels: the smaller again
      {{1.0, 1.0, 1.3}, {{1, 0, 0, 0, 1, 0, 0, 0}}},
      {{9.0, 9.0, 9.0}, {{2, 2, 3, 2, 1, 1, 1, 1}}},  // no further than the space goes
  };
  for (const auto& row : table) {
    CAPTURE(row.expected.to_string());
    const std::string scaled = scale_within(*space, base, row.factors).to_string();
    CHECK(scaled == row.expected.to_string());
  }
  const Architecture largest{{2, 2, 3, 2, 0, 1, 0, 1}};
  CHECK(scale_within(*space, largest, {0.5, 0.5, 0.5}).to_string() == "0-1-1-1-0-1-0-0");
  CHECK_THROWS_WITH_AS(scale_within(*space, base, {0.0, 1.0, 1.0}),
                       "scale: depth = 0.000000, expected a positive number", InvariantError);
}

TEST_CASE("Scaling within a space and beside it agree where the space has the sizes") {
  const auto space = space_from(kSteps);
  const Architecture base{{0, 0, 0, 0, 1, 0, 0, 0}};
  const ScaleFactors factors = {2.0, 1.5, 1.5};
  const Architecture within = scale_within(*space, base, factors);
  CHECK(network::digest(space->lower(within), network::DigestKind::Structure) ==
        network::digest(lowered(scale(*space, base, factors)), network::DigestKind::Structure));
  const ScaleFactors between = factors_between(*space, base, within);
  CHECK(between.depth == 2.0);
  CHECK(between.width == doctest::Approx(std::sqrt(2.0 * 1.5)));  // 8 to 16 and 16 to 24 channels
  CHECK(between.resolution == 1.5);
  CHECK(factors_between(*space, within, within) == ScaleFactors{});
}

TEST_CASE("Factors of 1 keep any architecture of a space") {
  for (const char* file : {"efficientnet_224", "mobilenet_v3_32", "operators_32", "resnet_32"}) {
    CAPTURE(std::string(file));
    const auto space =
        read_search_space(std::string(LATHE_SOURCE_DIR "/configs/spaces/") + file + ".yaml");
    const auto& staged = dynamic_cast<const StagedSpace&>(*space);
    Rng rng(1);
    for (int i = 0; i < 20; ++i) {
      const Architecture drawn = staged.sample(rng);
      CHECK(scale_within(staged, drawn, {}) == drawn);
      // Larger factors give something of the space, and never less of any size.
      const Architecture larger = scale_within(staged, drawn, {1.7, 1.4, 1.2});
      CHECK(staged.canonical(larger) == larger);
      const ScaleFactors between = factors_between(staged, drawn, larger);
      CHECK(between.depth >= 1.0);
      CHECK(between.width >= 1.0);
      CHECK(between.resolution >= 1.0);
    }
  }
}

TEST_CASE("scale refuses factors that are not positive numbers") {
  const auto space = space_from(kB0);
  CHECK_THROWS_WITH_AS(scale(*space, Architecture{}, {0.0, 1.0, 1.0}),
                       "scale: depth = 0.000000, expected a positive number", InvariantError);
  CHECK_THROWS_WITH_AS(scale(*space, Architecture{}, {1.0, -2.0, 1.0}),
                       "scale: width = -2.000000, expected a positive number", InvariantError);
  CHECK_THROWS_WITH_AS(scale(*space, Architecture{}, {1.0, 1.0, std::nan("")}),
                       "scale: resolution = nan, expected a positive number", InvariantError);
}

TEST_CASE("family names the family of every block and refuses others") {
  const auto space = read_search_space(LATHE_SOURCE_DIR "/configs/spaces/operators_32.yaml");
  const Architecture smallest = space->smallest();
  CHECK(space->family(smallest, "stage1.block0") == "separable");
  CHECK(space->family(smallest, "stage2.block0") == "shuffle_v2");
  CHECK(space->family(space->largest(), "stage2.block3") == "mbconv");
  CHECK(space->family(smallest, "stem") == "conv");
  CHECK(space->family(smallest, "head") == "conv");
  CHECK(space->family(smallest, "classifier") == "linear");
  const std::string start =
      "space operators_32: architecture " + smallest.to_string() + " has no block ";
  for (const char* name : {"stage1.block1", "stage1.blockx", "stage1", ""}) {
    CHECK_THROWS_WITH_AS((void)space->family(smallest, name), (start + '"' + name + '"').c_str(),
                         InvariantError);
  }
}

}  // namespace
}  // namespace lathe::search
