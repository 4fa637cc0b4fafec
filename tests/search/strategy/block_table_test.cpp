#include "search/strategy/block_table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/file.h"
#include "network/cost.h"
#include "network/passes.h"
#include "search/evaluation/candidate.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::TemporaryFolder;

const char* const kSpaces[] = {"mobilenet_28", "mobilenet_v3_32", "operators_32", "resnet_32",
                               "shuffle_v2_32"};

std::unique_ptr<SearchSpace> space_called(const std::string& name) {
  return read_search_space(std::string(LATHE_SOURCE_DIR) + "/configs/spaces/" + name + ".yaml");
}

/// A table in which every block costs 1 us a MAC and 0.01 ms more, and a whole network 0.05 ms and
/// 0.9 of its blocks.
BlockTable made_up_table(const SearchSpace& space, int64_t networks, size_t leave_out) {
  BlockTable table;
  table.space = space.name();
  table.device = "pi4";
  table.fingerprint = "f00d";
  table.engine = "xnnpack";
  table.engine_version = "2022-02";
  table.covered = 0.75;
  std::vector<SpaceBlock> blocks = sample_blocks(space, 400, Rng(1));
  REQUIRE(blocks.size() > leave_out);
  models::PartCosts costs;
  for (const SpaceBlock& block : blocks) {
    BlockTable::Block entry;
    entry.structure = block.structure;
    entry.name = block.name;
    entry.input = network::to_string(block.network.input_shape());
    entry.output = network::to_string(block.network.output_shape());
    entry.macs = block.macs;
    entry.occurrences = block.occurrences;
    entry.median_ms = 1e-6 * static_cast<double>(block.macs) + 0.01;
    entry.interval_ms = {0.9 * entry.median_ms, 1.1 * entry.median_ms, 0.95};
    costs[block.structure.words[0]] = entry.median_ms;
    if (table.blocks.size() + leave_out < blocks.size()) table.blocks.push_back(entry);
  }
  Rng rng(2);
  while (table.networks.size() < static_cast<size_t>(networks)) {
    const CountedCandidate candidate = make_candidate(space, space.sample(rng), 0);
    double sum = 0.0;
    bool known = true;
    for (const CostPart& part : candidate.parts) {
      const auto cost = costs.find(part.key);
      known = known && cost != costs.end();
      if (known) sum += static_cast<double>(part.count) * cost->second;
    }
    if (!known) continue;
    table.networks.push_back({candidate.candidate.architecture, 0.05 + 0.9 * sum, 0.0});
  }
  return table;
}

TEST_CASE("sample_blocks takes every network of every family apart without a rest") {
  for (const char* name : kSpaces) {
    CAPTURE(name);
    const auto space = space_called(name);
    const std::vector<SpaceBlock> blocks = sample_blocks(*space, 30, Rng(3));
    CHECK(std::is_sorted(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) {
      return a.occurrences > b.occurrences;
    }));
    std::set<network::Digest> known;
    for (const SpaceBlock& block : blocks) {
      CAPTURE(block.name);
      known.insert(block.structure);
      CHECK(network::cost(block.network).macs == block.macs);
      CHECK_NOTHROW(network::deploy(block.network));
    }
    for (const Architecture& architecture : {space->smallest(), space->largest()}) {
      const auto deployed = network::deploy(space->lower(architecture));
      for (const network::Block& block : network::structural_blocks(deployed)) {
        CHECK(known.count(block.structure) == 1);
      }
    }
    // The same draws whatever is drawn more.
    const std::vector<SpaceBlock> more = sample_blocks(*space, 60, Rng(3));
    CHECK(more.size() >= blocks.size());
  }
}

TEST_CASE("reconcile tells the sum of the entries from what whole networks take") {
  const auto space = space_called("mobilenet_28");
  BlockTable table = made_up_table(*space, 25, 0);
  reconcile(*space, table);
  REQUIRE(table.reports.size() == 3);
  CHECK(table.reports[0].model == "sum");
  double error = 0.0;
  for (const BlockTable::Whole& whole : table.networks) {
    CHECK(whole.median_ms == doctest::Approx(0.05 + 0.9 * whole.sum_ms));
    error += std::abs(whole.sum_ms / whole.median_ms - 1.0) / 25.0;
  }
  CHECK(table.reports[0].mape == doctest::Approx(error));
  CHECK(table.reports[1].model == "reconciled");
  CHECK(table.reports[1].mape < 0.2 * table.reports[0].mape);
  CHECK(table.reports[1].labels == 25);

  BlockTable few = made_up_table(*space, 7, 0);
  CHECK(message_of<InvariantError>([&] {
          reconcile(*space, few);
        }).find("and 7 networks, expected at least 1 and 8") != std::string::npos);
}

TEST_CASE("Blocks without an entry count with the table's time per MAC") {
  const auto space = space_called("mobilenet_28");
  BlockTable whole = made_up_table(*space, 20, 0);
  BlockTable part = made_up_table(*space, 20, 15);
  CHECK(part.blocks.size() + 15 == whole.blocks.size());
  reconcile(*space, whole);
  reconcile(*space, part);
  bool differs = false;
  for (size_t i = 0; i < 20; ++i) {
    CHECK(part.networks[i].sum_ms > 0.0);
    differs = differs || part.networks[i].sum_ms != whole.networks[i].sum_ms;
  }
  CHECK(differs);
}

TEST_CASE("A block table is written as JSON and read back") {
  const TemporaryFolder folder;
  const auto space = space_called("mobilenet_28");
  BlockTable table = made_up_table(*space, 9, 0);
  table.precision = latency::Precision::Int8;
  table.threads = 2;
  reconcile(*space, table);
  const auto file = folder / "table.json";
  write_file_atomically(file, to_json(table));
  const BlockTable read = read_block_table(file);
  CHECK(to_json(read) == to_json(table));
  CHECK(read.costs() == table.costs());
  CHECK(read.costs().size() == table.blocks.size());
  CHECK(read.precision == latency::Precision::Int8);
}

TEST_CASE("read_block_table says what is wrong with a file") {
  const TemporaryFolder folder;
  const auto file = folder / "table.json";
  const auto said = [&](const std::string& text) {
    write_file_atomically(file, text);
    const std::string message = message_of<DataError>([&] { (void)read_block_table(file); });
    REQUIRE(message.rfind(file.string() + ": ", 0) == 0);
    return message.substr(file.string().size() + 2);
  };
  const auto space = space_called("mobilenet_28");
  BlockTable table = made_up_table(*space, 3, 0);
  table.blocks.resize(1);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = to_json(table);
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return said(text.replace(at, from.size(), to));
  };
  CHECK(said("").find("not a block table of lathe: ") == 0);
  CHECK(said("[1, 2]").find("not a block table of lathe: ") == 0);
  CHECK(said("{}") == "format = nothing, expected lathe block table 1");
  CHECK(with("table 1", "table 9") == "format = lathe block table 9, expected lathe block table 1");
  CHECK(with("\"median_ms\": 0", "\"median_ms\": -0").find("expected a positive number") !=
        std::string::npos);
  CHECK(with("\"threads\"", "\"fred\"").find("threads") != std::string::npos);
  CHECK(with(table.blocks[0].structure.hex(), "xyz").find("xyz") != std::string::npos);
  table.blocks.clear();
  CHECK(said(to_json(table)) == "blocks = [], expected at least one");
  CHECK(message_of<DataError>([&] {
          (void)read_block_table(folder / "none.json");
        }).find((folder / "none.json").string()) == 0);
}

}  // namespace
}  // namespace lathe::search
