#include "search/evaluation/replay.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include "core/file.h"
#include "core/statistics.h"
#include "search/evaluation/candidate.h"
#include "search/space/cell_space.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_space.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::TemporaryFolder;
using test::ToySpace;

const char* const kTable =
    "id,architecture,top1,ms\n"
    "0,0-0-0-0-0-0-0-0-0,50.5,1.25\n"
    "1,3-3-1-3-1-3-1-3-1,90,20\r\n"
    "2,0-0-0-3-1-0-0-0-0,99,99\n";  // the same network as the first: the first counts

TEST_CASE("ReplayTable reads columns by canonical architecture, the first row of each") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "t.csv", kTable);
  const ToySpace space;
  const ReplayTable table(folder / "t.csv", space, "architecture", {"ms", "top1"});
  CHECK(table.architectures().size() == 2);
  CHECK(table.find(space.smallest(), "top1") == 50.5);
  CHECK(table.find(space.largest(), "ms") == 20.0);
  CHECK(table.range("top1") == std::pair<double, double>(50.5, 90.0));
  CHECK_FALSE(table.find({{1, 0, 0, 0, 0, 0, 0, 0, 0}}, "ms").has_value());
  CHECK(message_of<InvariantError>([&] { (void)table.find(space.smallest(), "id"); }) ==
        "ReplayTable: column = id, expected one that was read");
}

TEST_CASE("ReplayTable reads gzip and cells") {
  const TemporaryFolder folder;
  const std::string path = (folder / "t.csv.gz").string();
  const std::string text = "arch_str,ms\n|skip_connect~0|,1\n|none~0|,2\n";
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) ==
          static_cast<int>(text.size()));
  REQUIRE(gzclose(file) == Z_OK);
  const CellSpace space(CellSpec{"c", 2, {"none", "skip_connect"}});
  const ReplayTable table(path, space, "arch_str", {"ms"});
  CHECK(table.find({{0}}, "ms") == 2.0);
  CHECK(table.find({{1}}, "ms") == 1.0);
}

TEST_CASE("ReplayTable names file and line of every fault") {
  const TemporaryFolder folder;
  const std::string path = (folder / "t.csv").string();
  const ToySpace space;
  const auto fault = [&](const std::string& text) {
    write_file_atomically(path, text);
    return message_of<DataError>([&] { ReplayTable(path, space, "architecture", {"ms"}); });
  };
  CHECK(fault("") == path + ": no rows, expected a header and values");
  CHECK(fault("architecture,ms\n") == path + ": no rows, expected a header and values");
  CHECK(fault("architecture,us\n") == path + ":1: no column ms, expected one");
  CHECK(fault("architecture,ms\n0-0-0-0-0-0-0-0-0\n") == path + ":2: 1 fields, expected 2");
  CHECK(fault("architecture,ms\n0-0-0-0-0-0-0-0-0,x\n") == path + ":2: ms = x, expected a number");
  CHECK(fault("architecture,ms\n0-0-0-0-0-0-0-0-0,nan\n") ==
        path + ":2: ms = nan, expected a number");
  CHECK(fault("architecture,ms\n0-0-0-0-0-0-0-0-0,\n") == path + ":2: ms = , expected a number");
  CHECK(fault("architecture,ms\n9-0-0-0-0-0-0-0-0,1\n")
            .find(path + ":2: space toy: gene depth = 9") == 0);
  CHECK(message_of<DataError>([&] { ReplayTable(folder / "no.csv", space, "a", {}); }) ==
        (folder / "no.csv").string() + ": cannot be opened, expected a CSV file");
}

struct Tables {
  TemporaryFolder folder;
  ToySpace space;
  ReplayOptions options;
  Tables() {
    write_file_atomically(folder / "t.csv", kTable);
    options.table = folder / "t.csv";
    options.column = "ms";
  }
};

TEST_CASE("ReplayAccuracy gives fractions, and failures for what the table lacks") {
  Tables tables;
  tables.options.column = "top1";
  tables.options.scale = 0.01;
  ReplayAccuracy accuracy(tables.space, tables.options);
  const auto results =
      accuracy.evaluate({make_candidate(tables.space, tables.space.smallest(), 0).candidate,
                         make_candidate(tables.space, {{1, 0, 0, 0, 0, 0, 0, 0, 0}}, 1).candidate},
                        no_progress());
  CHECK(results[0]->top1 == doctest::Approx(0.505));
  CHECK(results[1].failure().kind == FailureKind::Unsupported);
}

TEST_CASE("ReplayLatency adds the noise it reports, repeatably, and less for a longer plan") {
  Tables tables;
  tables.options.noise = 0.05;
  tables.options.seconds = 2.0;
  const Candidate candidate = make_candidate(tables.space, tables.space.largest(), 0).candidate;
  std::vector<double> values;
  int covered = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    ReplayLatency latency(tables.space, "pi4", tables.options, seed);
    const auto estimate = *latency.measure(candidate, latency.default_plan()).get();
    CHECK(estimate.wall_s == 2.0);
    values.push_back(estimate.median_ms);
    covered += estimate.interval_ms.low <= 20.0 && 20.0 <= estimate.interval_ms.high ? 1 : 0;
    CHECK(latency.measure(candidate, latency.default_plan()).get()->median_ms ==
          estimate.median_ms);
  }
  CHECK(mean(values) == doctest::Approx(20.0).epsilon(0.02));
  CHECK(standard_deviation(values) == doctest::Approx(1.0).epsilon(0.15));
  CHECK(covered > 360);
  ReplayLatency latency(tables.space, "pi4", tables.options, 1);
  latency::MeasurementPlan longer = latency.default_plan();
  longer.target_half_width /= 10.0;
  const auto precise = *latency.measure(candidate, longer).get();
  CHECK(precise.interval_ms.high - precise.interval_ms.low ==
        doctest::Approx(0.4 * 0.98).epsilon(0.02));
  CHECK(precise.wall_s == doctest::Approx(200.0));
  latency::MeasurementPlan again = latency.default_plan();
  again.fresh = true;
  CHECK(latency.measure(candidate, again).get()->median_ms !=
        latency.measure(candidate, latency.default_plan()).get()->median_ms);
}

TEST_CASE("Replay options are read with paths relative to the config") {
  const ConfigDocument document = ConfigDocument::read_text(
      "accuracy: {table: a.csv, column: top1, percent: true}\n"
      "devices: [{replay: /b.csv, key: cell, column: ms, noise: 0.05, seconds: 2s}]\n",
      "c.yaml");
  ConfigSection root = document.root();
  const ReplayOptions accuracy = read_replay_accuracy(root.section("accuracy"), "/configs");
  const ReplayOptions latency = read_replay_latency(root.sections("devices")[0], "/configs");
  document.throw_if_faults();
  CHECK(accuracy.table == "/configs/a.csv");
  CHECK(accuracy.scale == 0.01);
  CHECK(accuracy.key == "architecture");
  CHECK(latency.table == "/b.csv");
  CHECK(latency.key == "cell");
  CHECK(latency.noise == 0.05);
  CHECK(latency.seconds == 2.0);
}

}  // namespace
}  // namespace lathe::search
