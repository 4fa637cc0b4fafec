#include "search/space/cell_space.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

const CellSpace& nasbench201() {
  static const CellSpace space{CellSpec{}};
  return space;
}

Architecture cell(const std::string& text) { return nasbench201().parse_cell(text); }

TEST_CASE("CellSpace counts the published number of distinct networks") {
  CHECK(nasbench201().count() == "6466");
  CHECK(nasbench201().genes().size() == 6);
  CHECK(nasbench201().distinct().size() == 6466);
}

TEST_CASE("CellSpace::canonical knows equal networks and is idempotent") {
  const CellSpace& space = nasbench201();
  for (const Architecture& architecture : space.distinct()) {
    REQUIRE(space.canonical(architecture) == architecture);
  }
  // Node 1 is a copy of the input: its operation may read either.
  const Architecture a =
      cell("|skip_connect~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|");
  const Architecture b =
      cell("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|");
  CHECK(a != b);
  CHECK(space.canonical(a) == space.canonical(b));
  const Architecture other =
      cell("|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|");
  CHECK(space.canonical(a) != space.canonical(other));
}

TEST_CASE("CellSpace counts MACs as the benchmark's table does") {
  CHECK(nasbench201().macs(cell("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")) == 7783040);
  CHECK(nasbench201().macs(cell("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|"
                                "nor_conv_3x3~1|skip_connect~2|")) == 113951360);
  CHECK(nasbench201().macs(cell("|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|"
                                "skip_connect~1|skip_connect~2|")) == 15647360);
}

TEST_CASE("CellSpace::work counts what leads to the output") {
  using Counts = std::vector<int64_t>;  // none, skip, 1x1, 3x3, pool, additions
  const CellSpace& space = nasbench201();
  CHECK(space.work(space.largest()) == Counts{0, 0, 0, 6, 0, 3});
  CHECK(space.work(cell("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")) ==
        Counts{0, 0, 0, 0, 0, 0});
  // Nothing reads node 2, so that its 3x3 convolutions do not count.
  CHECK(space.work(cell("|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|"
                        "avg_pool_3x3~1|none~2|")) == Counts{0, 1, 1, 0, 1, 1});
}

TEST_CASE("CellSpace::operation_macs adds up to the network's") {
  const CellSpace& space = nasbench201();
  const int64_t fixed = space.macs(space.smallest());
  CHECK(space.macs(space.largest()) == fixed + 6 * space.operation_macs(3));
  CHECK(space.operation_macs(3) == 9 * space.operation_macs(2));
  CHECK(space.operation_macs(4) == 0);
}

TEST_CASE("CellSpace counts parameters layer by layer") {
  // Stem 3->16, reductions 16->32 and 32->64 (3x3, 3x3, 1x1), final BN and classifier, by hand.
  const int64_t stem = 3 * 16 * 9 + 32;
  const int64_t first = 16 * 32 * 9 + 64 + 32 * 32 * 9 + 64 + 16 * 32;
  const int64_t second = 32 * 64 * 9 + 128 + 64 * 64 * 9 + 128 + 32 * 64;
  const int64_t end = 2 * 64 + 64 * 10 + 10;
  CHECK(nasbench201().params(nasbench201().smallest()) == stem + first + second + end);
}

TEST_CASE("CellSpace samples every distinct network alike") {
  const CellSpace space(CellSpec{"tiny", 3, {"none", "skip_connect", "nor_conv_3x3"}});
  Rng rng(1);
  std::map<std::string, int> counts;
  const int draws = 200 * static_cast<int>(space.distinct().size());
  for (int i = 0; i < draws; ++i) ++counts[space.sample(rng).to_string()];
  CHECK(counts.size() == space.distinct().size());
  for (const auto& [name, count] : counts) {
    CHECK(count > 120);
    CHECK(count < 280);
  }
}

TEST_CASE("CellSpace has extremes and a text that reads back") {
  const CellSpace& space = nasbench201();
  CHECK(space.macs(space.largest()) > 200e6);
  CHECK(space.macs(space.smallest()) == 7783040);
  for (size_t i = 0; i < space.distinct().size(); i += 97) {
    CHECK(space.parse_cell(space.describe(space.distinct()[i])) == space.distinct()[i]);
  }
}

TEST_CASE("CellSpace refuses what is not of it, with the reason") {
  const auto parse = [](const char* text) { return message_of<DataError>([&] { cell(text); }); };
  const std::string like =
      ", expected one like "
      "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|"
      "nor_conv_3x3~2|";
  CHECK(parse("") == "space cells: cell = " + like);
  CHECK(parse("|none~0|") == "space cells: cell = |none~0|" + like);
  CHECK(parse("|max~0|+|none~0|none~1|+|none~0|none~1|none~2|") ==
        "space cells: cell = |max~0|+|none~0|none~1|+|none~0|none~1|none~2|" + like);
  CHECK(parse("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|") ==
        "space cells: cell = |none~0|+|none~1|none~0|+|none~0|none~1|none~2|" + like);
  CHECK(message_of<InvariantError>([] { (void)nasbench201().lower(nasbench201().smallest()); }) ==
        "space cells: architecture " + nasbench201().smallest().to_string() +
            " has no network, expected to be looked up in a table");
  const auto make = [](int nodes, std::vector<std::string> operations) {
    return message_of<ConfigError>([&] { CellSpace(CellSpec{"c", nodes, std::move(operations)}); });
  };
  CHECK(make(1, {"none"}) == "cell space c: nodes = 1, expected 2 to 8");
  CHECK(make(3, {"none", "max_pool_3x3"}) ==
        "cell space c: operation = max_pool_3x3, expected none, skip_connect, nor_conv_KxK or "
        "avg_pool_KxK, each once");
  CHECK(make(3, {"none", "none"}).find("operation = none") != std::string::npos);
  CHECK(make(3, {}).find("0 operations") != std::string::npos);
  CHECK(make(8, {"none", "skip_connect"}).find("at most a million genotypes") != std::string::npos);
}

TEST_CASE("A space file with a cell gives a cell space, and names each fault with its line") {
  const auto whole = read_search_space_text("cell: {}\n", "nb201.yaml");
  CHECK(whole->name() == "nb201");
  CHECK(whole->count() == "6466");
  CHECK(whole->describe(whole->smallest()) == nasbench201().describe(nasbench201().smallest()));
  const auto small = read_search_space_text(
      "name: two\nclasses: 100\ninput: {channels: 1, resolution: 28}\n"
      "cell: {nodes: 2, operations: [none, nor_conv_1x1], cells: 1, width: 8}\n",
      "s.yaml");
  CHECK(small->name() == "two");
  CHECK(small->count() == "2");
  const CellSpace expected(CellSpec{"two", 2, {"none", "nor_conv_1x1"}, 1, 8, 1, 28, 100});
  const auto& read = dynamic_cast<const CellSpace&>(*small);
  CHECK(read.macs({{1}}) == expected.macs({{1}}));
  CHECK(read.params({{1}}) == expected.params({{1}}));
  const auto fault = [](const std::string& text) {
    return message_of<ConfigError>([&] { (void)read_search_space_text(text, "s.yaml"); });
  };
  CHECK(fault("name: s\ncell: {operations: [none, maxout]}\n") ==
        "s.yaml:2: cell space s: operation = maxout, expected none, skip_connect, nor_conv_KxK or "
        "avg_pool_KxK, each once");
  CHECK(fault("cell: {nodes: 9}\n") == "s.yaml:1: /cell/nodes = 9, expected an integer in [2, 8]");
  CHECK(fault("cell: {node: 4}\nstages: []\n").find("stages") != std::string::npos);
}

}  // namespace
}  // namespace lathe::search
