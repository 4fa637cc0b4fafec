#include "search/space/staged_space.h"

#include <doctest/doctest.h>

#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

TEST_CASE(
    "A staged space has one gene for each decision with more than one option, in a fixed order") {
  const auto space = space_from(kSmallSpace);
  std::vector<std::string> names;
  for (const Gene& gene : space->genes()) names.push_back(gene.name);
  const std::vector<std::string> expected = {
      "resolution",           "stem.width",
      "stage1.depth",         "stage1.width",
      "stage1.block0.kernel", "stage1.block0.expand",
      "stage1.block1.kernel", "stage1.block1.expand",
      "stage2.block0.expand", "stage2.block0.squeeze_excite"};
  CHECK(names == expected);
  CHECK(space->genes()[5].options == std::vector<std::string>{"2.3", "2.5", "3"});
  CHECK(space->genes()[9].options == std::vector<std::string>{"false", "true"});
}

TEST_CASE("The count equals the number of distinct networks over all genotypes") {
  const auto space = space_from(kSmallSpace);
  std::set<network::Digest> networks;
  std::set<Architecture> canonical;
  for (const Architecture& genotype : all_genotypes(*space)) {
    networks.insert(digest_of(*space, genotype));
    canonical.insert(space->canonical(genotype));
  }
  // By hand: 2 resolutions, 4 blocks of stage 2 (in 8 or 16: 8 or 16 channels differ), and for stem
  // 8 or 16 and width 8 or 16: 2 kernels x (1 or 2 expansions) for block 0, depth 2 times the same
  // for block 1. (stem, width): (8,8): 2 + 2*2; (8,16): 2 + 2*4; (16,8): 4 + 4*2; (16,16): 4 + 4*4.
  CHECK(space->count() == std::to_string(2 * 4 * (6 + 10 + 12 + 20)));
  CHECK(std::to_string(networks.size()) == space->count());
  CHECK(std::to_string(canonical.size()) == space->count());
}

TEST_CASE("Two genotypes have the same canonical form exactly when their networks are equal") {
  const auto space = space_from(kSmallSpace);
  std::map<network::Digest, Architecture> first;
  for (const Architecture& genotype : all_genotypes(*space)) {
    const Architecture canonical = space->canonical(genotype);
    const auto entry = first.emplace(digest_of(*space, genotype), canonical).first;
    REQUIRE(entry->second == canonical);
    REQUIRE(space->canonical(canonical) == canonical);
    REQUIRE(digest_of(*space, canonical) == entry->first);
    const std::vector<bool> active = space->active(canonical);
    for (size_t g = 0; g < active.size(); ++g) {
      if (!active[g]) REQUIRE(canonical.genes[g] == 0);
    }
  }
}

TEST_CASE("A gene is active exactly when some other option of it gives another network") {
  const auto space = space_from(kSmallSpace);
  for (const Architecture& genotype : all_genotypes(*space)) {
    const std::vector<bool> active = space->active(genotype);
    const Architecture canonical = space->canonical(genotype);
    for (size_t g = 0; g < active.size(); ++g) {
      bool differs = false;
      for (size_t option = 0; option < space->genes()[g].options.size(); ++option) {
        Architecture other = genotype;
        other.genes[g] = static_cast<uint16_t>(option);
        differs = differs || space->canonical(other) != canonical;
      }
      REQUIRE(active[g] == differs);
    }
  }
}

TEST_CASE("at() numbers every architecture once") {
  const auto space = space_from(kSmallSpace);
  const auto count = static_cast<uint64_t>(std::stoull(space->count()));
  std::set<Architecture> seen;
  for (uint64_t i = 0; i < count; ++i) {
    const Architecture architecture = space->at(i);
    REQUIRE(space->canonical(architecture) == architecture);
    REQUIRE(seen.insert(architecture).second);
  }
  CHECK_THROWS_WITH_AS(space->at(count),
                       "space small: architecture number 384, expected a number below 384",
                       InvariantError);
}

TEST_CASE("The count of a large space is exact beyond 64 bits") {
  const auto space = space_from(R"(
input: {resolution: 32}
classes: 10
stem: {width: 16}
stages: [{block: mbconv, width: [16, 24, 32], kernel: [3, 5, 7, 9, 11],
          depth: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]}]
)");
  // 3 widths, depths 1 to 30 of blocks with 5 kernels: 3 * (5 + 5^2 + ... + 5^30) = 3 * (5^31 - 5)
  // / 4.
  CHECK(space->count() == "3492459654808044433590");
}

TEST_CASE("sample draws uniformly over distinct architectures") {
  const auto space = space_from(kSmallSpace);
  std::map<Architecture, int> hits;
  Rng rng(20);
  constexpr int kPerCell = 60;
  constexpr int kCells = 384;
  for (int i = 0; i < kCells * kPerCell; ++i) ++hits[space->sample(rng)];
  CHECK(hits.size() == kCells);
  double chi_square = 0.0;
  for (const auto& [architecture, count] : hits) {
    CHECK(space->canonical(architecture) == architecture);
    const double difference = count - kPerCell;
    chi_square += difference * difference / kPerCell;
  }
  // 383 degrees of freedom: mean 383, standard deviation 27.7; the bounds are 4 deviations away.
  CHECK(chi_square < 494.0);
  CHECK(chi_square > 272.0);
}

TEST_CASE("sample_genes draws each depth equally often where sample does not") {
  const auto space = space_from(kSmallSpace);
  Rng genes_rng(1), uniform_rng(1);
  int genes_deep = 0, uniform_deep = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const Architecture drawn = space->sample_genes(genes_rng);
    REQUIRE(space->canonical(drawn) == drawn);
    genes_deep += drawn.genes[2];
    uniform_deep += space->sample(uniform_rng).genes[2];
  }
  // Depth 2 has (4 + 8 + 8 + 16) of 48 ways.
  CHECK(genes_deep == doctest::Approx(kDraws / 2.0).epsilon(0.05));
  CHECK(uniform_deep == doctest::Approx(kDraws * 36.0 / 48.0).epsilon(0.05));
}

TEST_CASE("The same seed gives the same samples") {
  const auto space = space_from(kSmallSpace);
  Rng a(5), b(5), c(6);
  bool other_differs = false;
  for (int i = 0; i < 20; ++i) {
    const Architecture drawn = space->sample(a);
    CHECK(drawn == space->sample(b));
    other_differs = other_differs || drawn != space->sample(c);
  }
  CHECK(other_differs);
}

TEST_CASE(
    "The largest and smallest architectures take the extremes whatever the order in the file") {
  const auto space = space_from(R"(
name: order
input: {resolution: [32, 16, 24]}
classes: 10
stem: {width: [8, 24, 16], activation: [hard_swish, relu]}
stages:
  - {block: mbconv, depth: [2, 1, 3], width: [24, 16], kernel: [5, 7, 3], expand: [4, 6, 3],
     squeeze_excite: [true, false], activation: [swish, relu]}
head: {width: [64, 32], hidden: [100, 50], activation: relu}
)");
  CHECK(space->describe(space->largest()) ==
        "32px | stem w24 k3 hard_swish | stage1 w24: 3x mbconv k7 e6 se swish | head w64 hidden "
        "100 relu");
  CHECK(
      space->describe(space->smallest()) ==
      "16px | stem w8 k3 hard_swish | stage1 w16: 1x mbconv k3 e3 swish | head w32 hidden 50 relu");
}

TEST_CASE("describe groups equal neighbours and reads the same for equal networks") {
  const auto space = space_from(R"(
name: text
input: {resolution: 16}
classes: 10
stem: {width: 8}
stages: [{name: body, block: mbconv, depth: [2, 4], width: 16, kernel: [3, 5]}]
)");
  CHECK(
      space->describe(Architecture{{1, 0, 0, 1, 0}}) ==
      "16px | stem w8 k3 relu | body w16: 2x mbconv k3 e6 relu, 1x mbconv k5 e6 relu, 1x mbconv k3 "
      "e6 relu");
  CHECK(space->describe(Architecture{{0, 1, 1, 1, 1}}) ==
        "16px | stem w8 k3 relu | body w16: 2x mbconv k5 e6 relu");
}

TEST_CASE("An architecture of another space is refused everywhere") {
  const auto space = space_from(kSmallSpace);
  const Architecture short_one{{0, 0}};
  const Architecture wrong{{0, 0, 0, 0, 0, 3, 0, 0, 0, 0}};
  const char* short_message = "space small: architecture 0-0 has 2 genes, expected 10";
  const char* wrong_message =
      "space small: gene stage1.block0.expand = 3, expected an index below 3";
  CHECK_THROWS_WITH_AS(space->lower(short_one), short_message, InvariantError);
  CHECK_THROWS_WITH_AS(space->canonical(short_one), short_message, InvariantError);
  CHECK_THROWS_WITH_AS((void)space->active(short_one), short_message, InvariantError);
  CHECK_THROWS_WITH_AS(space->describe(wrong), wrong_message, InvariantError);
  CHECK_THROWS_WITH_AS(space->lower(wrong), wrong_message, InvariantError);
}

TEST_CASE("A space with a single architecture has no genes and samples it") {
  const auto space = space_from(R"(
input: {resolution: 16}
classes: 10
stem: {width: 8}
stages: [{block: mbconv, width: 8}]
)");
  CHECK(space->name() == "test");
  CHECK(space->count() == "1");
  CHECK(space->genes().empty());
  Rng rng(1);
  CHECK(space->sample(rng) == Architecture{});
  CHECK(space->largest() == space->smallest());
}

}  // namespace
}  // namespace lathe::search
