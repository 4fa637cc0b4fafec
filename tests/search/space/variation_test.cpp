#include <doctest/doctest.h>

#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

TEST_CASE("mutate always gives another canonical architecture") {
  const auto space = space_from(kSmallSpace);
  Rng rng(3);
  for (const double probability : {0.0, 0.1, 0.5, 1.0}) {
    for (int i = 0; i < 500; ++i) {
      const Architecture parent = space->sample(rng);
      const Architecture child = mutate(*space, parent, {probability}, rng);
      REQUIRE(child != parent);
      REQUIRE(space->canonical(child) == child);
      REQUIRE(digest_of(*space, child) != digest_of(*space, parent));
    }
  }
}

TEST_CASE("mutate treats a parent that is not canonical as its canonical form") {
  const auto space = space_from(kSmallSpace);
  Architecture parent = space->smallest();
  parent.genes[6] = 1;  // the second block's kernel; the depth is 1
  Rng a(9), b(9);
  for (int i = 0; i < 50; ++i) {
    CHECK(mutate(*space, parent, {}, a) == mutate(*space, space->smallest(), {}, b));
  }
}

TEST_CASE("mutate reaches every architecture from any other") {
  const auto space = space_from(kSmallSpace);
  Rng rng(4);
  std::set<Architecture> reached;
  Architecture current = space->smallest();
  for (int i = 0; i < 20000; ++i) {
    current = mutate(*space, current, {0.1}, rng);
    reached.insert(current);
  }
  CHECK(std::to_string(reached.size()) == space->count());
}

TEST_CASE("mutate draws the genes that a greater depth brings to life") {
  const auto space = space_from(kSmallSpace);
  Rng rng(5);
  std::set<std::pair<int, int>> second_blocks;
  Architecture parent = space->smallest();
  parent.genes[3] = 1;  // width 16, where the second block has four forms
  for (int i = 0; i < 2000; ++i) {
    const Architecture child = mutate(*space, parent, {0.0}, rng);
    if (child.genes[2] == 1) second_blocks.emplace(child.genes[6], child.genes[7]);
  }
  CHECK(second_blocks == std::set<std::pair<int, int>>{{0, 0}, {0, 2}, {1, 0}, {1, 2}});
}

TEST_CASE("mutate returns the only architecture of a space of one") {
  const auto space = space_from(
      "{input: {resolution: 8}, classes: 2, stem: {width: 8}, stages: [{block: mbconv, width: "
      "8}]}");
  Rng rng(1);
  CHECK(mutate(*space, Architecture{}, {}, rng) == Architecture{});
}

TEST_CASE("mutate refuses a probability outside [0, 1]") {
  const auto space = space_from(kSmallSpace);
  Rng rng(1);
  CHECK_THROWS_WITH_AS(mutate(*space, space->smallest(), {1.5}, rng),
                       "mutate: gene_mutation_probability = 1.500000, expected a value in [0, 1]",
                       InvariantError);
  CHECK_THROWS_AS(mutate(*space, space->smallest(), {std::nan("")}, rng), InvariantError);
  CHECK_THROWS_AS(mutate(*space, Architecture{{1}}, {}, rng), InvariantError);
}

TEST_CASE("crossover takes every active gene from a parent in which it is active") {
  const auto space = space_from(kSmallSpace);
  Rng rng(6);
  for (int i = 0; i < 2000; ++i) {
    const Architecture a = space->sample(rng);
    const Architecture b = space->sample(rng);
    const Architecture child = crossover(*space, a, b, rng);
    REQUIRE(space->canonical(child) == child);
    const std::vector<bool> in_child = space->active(child);
    const std::vector<bool> in_a = space->active(a);
    const std::vector<bool> in_b = space->active(b);
    for (size_t g = 0; g < child.genes.size(); ++g) {
      if (!in_child[g]) continue;
      // Rounding may replace an option by its equal, so compare only the genes that it leaves
      // alone.
      const bool rounded = space->genes()[g].name.find("expand") != std::string::npos;
      if (rounded || (!in_a[g] && !in_b[g])) continue;
      const bool from_a = in_a[g] && child.genes[g] == a.genes[g];
      const bool from_b = in_b[g] && child.genes[g] == b.genes[g];
      REQUIRE((from_a || from_b));
    }
  }
}

TEST_CASE("crossover of equal parents is the parent, and mixes different ones") {
  const auto space = space_from(kSmallSpace);
  Rng rng(7);
  const Architecture small = space->smallest();
  const Architecture large = space->largest();
  std::set<Architecture> children;
  for (int i = 0; i < 200; ++i) {
    CHECK(crossover(*space, small, small, rng) == small);
    children.insert(crossover(*space, small, large, rng));
  }
  CHECK(children.size() > 50);
}

}  // namespace
}  // namespace lathe::search
