// Configs over tables: what is refused and why, and what lathe plan says of them.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "tests/cli/replay_tables.h"
#include "tests/support/child_process.h"

using namespace lathe;
using test::check_refused;
using test::kLathe;
using test::kNoModule;
using test::Tables;

TEST_CASE("lathe refuses tables that cannot work, with the reason and the exit code") {
  const Tables tables;
  const std::string config = tables.config.string();
  SUBCASE("a bound that no entry of the table meets, for plan and run") {
    for (const char* command : {"plan", "run"}) {
      check_refused({kLathe, command, config, "--set", "search.constraints=[latency@pi <= 1ms]",
                     "--folder", (tables.folder / "run").string()},
                    2, {"latency@pi <= 1ms: the best of ", "table.csv, column ms, is 7.", "raise"});
      check_refused({kLathe, command, config, "--set", "search.constraints=[accuracy >= 0.95]",
                     "--folder", (tables.folder / "run").string()},
                    2, {"accuracy >= 0.95: the best of ", "column percent, is 0.8", "lower"});
    }
  }
  SUBCASE("bounds that no entry meets together, with the nearest") {
    check_refused({kLathe, "plan", config, "--set",
                   "search.constraints=[latency@pi <= 8ms, accuracy >= 0.8]"},
                  2,
                  {"no network of the tables meets all of them; the nearest is |", " with ",
                   "latency@pi = ", "accuracy = 0."});
  }
  SUBCASE("training") {
    check_refused({kLathe, "train", config}, 2, {"come from a table", "nothing to train"});
  }
  SUBCASE("asking or measuring on a table") {
    check_refused({kLathe, "devices", "--config", config}, 2, {"every device is a table"});
  }
  SUBCASE("a table with a column that is not there") {
    check_refused({kLathe, "plan", config, "--set", "devices.0.column=us"}, 3,
                  {"table.csv:1: no column us, expected one"});
  }
}

TEST_CASE("the example of configs/ asks for its table and runs on one of that form") {
  const std::string config = LATHE_SOURCE_DIR "/configs/replay_nasbench201.yaml";
  const test::TemporaryFolder folder;
  // Nothing else is wrong with it: a fault a missing file.
  const auto [code, output] = test::run_program({kLathe, "plan", config}, kNoModule);
  INFO(output);
  CHECK(code == 2);
  CHECK(std::count(output.begin(), output.end(), '\n') == 2);
  CHECK(output.find("--set accuracy.table=/path/to/table.csv\n") != std::string::npos);
  CHECK(output.find("--set devices.0.replay=/path/to/table.csv\n") != std::string::npos);

  const search::CellSpace space{search::CellSpec()};
  std::string table = "arch_str,accuracy_cifar100,raspi4_ms\n";
  for (const search::Architecture& architecture : space.distinct()) {
    const double macs = static_cast<double>(space.macs(architecture)) / 1e6;
    table += space.describe(architecture) + "," + std::to_string(75.0 - 200.0 / macs) + "," +
             std::to_string(macs / 3.0) + "\n";
  }
  write_file_atomically(folder / "t.csv", table);
  const std::string path = (folder / "t.csv").string();
  const auto [run_code, run_output] =
      test::run_program({kLathe, "run", config, "--set", "accuracy.table=" + path, "--set",
                         "devices.0.replay=" + path, "--set", "search.budget.evaluations=40",
                         "--folder", (folder / "run").string()},
                        kNoModule);
  INFO(run_output);
  CHECK(run_code == 0);
  CHECK(run_output.find("most accurate") != std::string::npos);
}

TEST_CASE("lathe plan shows what a run over tables amounts to") {
  const Tables tables;
  const auto [code, output] =
      test::run_program({kLathe, "plan", tables.config.string()}, kNoModule);
  INFO(output);
  CHECK(code == 0);
  CHECK(output.find("table.csv, column percent; nothing is trained or exported") !=
        std::string::npos);
  CHECK(output.find("device     pi: replayed from ") != std::string::npos);
  CHECK(output.find("supernet") == std::string::npos);
}

TEST_CASE("energy of a table without such a column is refused before anything runs") {
  const Tables tables;
  check_refused({kLathe, "run", tables.config.string(), "--set", "devices.0.energy=joules", "--set",
                 "search.objectives=[accuracy, energy@pi]"},
                3, {"table.csv", "joules"});
  const auto other = tables.write("other.yaml", "{objectives: [accuracy, energy@pi]}", "");
  std::string text = read_file(other);
  text.replace(text.find(" energy: mj,"), std::string(" energy: mj,").size(), "");
  write_file_atomically(other, text);
  check_refused({kLathe, "run", other.string()}, 2,
                {"other.yaml:4", "energy@pi", "unless device pi has a key `energy: COLUMN`"});
}
