#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/rng.h"
#include "search/space/cell_space.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_folder.h"

namespace lathe::test {

inline const std::string kLathe = std::string(LATHE_BINARY_DIR) + "/bin/lathe";
/// A run over tables must not load LibTorch: where it would look there is nothing.
inline const std::vector<std::string> kNoModule = {
    "LATHE_SUPERNET_MODULE=/nowhere/liblathe_supernet.so"};

inline search::CellSpec small_spec() {
  search::CellSpec spec;
  spec.name = "small";
  spec.operations = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"};
  spec.cells = 1;
  spec.width = 4;
  return spec;
}
constexpr const char* kSmallSpace =
    "classes: 10\n"
    "input: {channels: 3, resolution: 32}\n"
    "cell: {nodes: 4, operations: [none, skip_connect, nor_conv_1x1, nor_conv_3x3], cells: 1, "
    "width: 4}\n";

/// Accuracy and latency both grow with the computation, each with a part of its own.
inline double true_ms(const search::CellSpace& space, const search::Architecture& architecture) {
  Rng rng = Rng(5).derive("ms " + architecture.to_string());
  return 2.0 + static_cast<double>(space.macs(architecture)) / 1e5 + rng.uniform();
}
inline double true_percent(const search::CellSpace& space,
                           const search::Architecture& architecture) {
  Rng rng = Rng(5).derive("percent " + architecture.to_string());
  const double macs = static_cast<double>(space.macs(architecture)) / 1e6;
  return 90.0 - 30.0 / (1.0 + macs) + 2.0 * rng.uniform();
}

/// Energy with a part that latency does not have.
inline double true_mj(const search::CellSpace& space, const search::Architecture& architecture) {
  Rng rng = Rng(5).derive("mj " + architecture.to_string());
  return true_ms(space, architecture) * (1.0 + rng.uniform());
}

/// A folder with a space, a table of all its networks and a config that replays it.
struct Tables {
  TemporaryFolder folder;
  search::CellSpace space{small_spec()};
  std::filesystem::path config;

  /// `search` and `more` stand in the config as they are.
  explicit Tables(const std::string& search = kSearch, const std::string& more = "") {
    write_file_atomically(folder / "small.yaml", kSmallSpace);
    std::string table = "cell,percent,ms,mj\n";
    for (const search::Architecture& architecture : space.distinct()) {
      table += space.describe(architecture) + "," +
               std::to_string(true_percent(space, architecture)) + "," +
               std::to_string(true_ms(space, architecture)) + "," +
               std::to_string(true_mj(space, architecture)) + "\n";
    }
    write_file_atomically(folder / "table.csv", table);
    config = write("replay.yaml", search, more);
  }

  std::filesystem::path write(const std::string& name, const std::string& search,
                              const std::string& more) const {
    const auto path = folder / name;
    write_file_atomically(
        path,
        "space: small.yaml\n"
        "accuracy: {table: table.csv, key: cell, column: percent, percent: true}\n"
        "devices: [{name: pi, replay: table.csv, key: cell, column: ms, energy: mj, "
        "noise: 0.05, seconds: 2s}]\n"
        "search: " +
            search + "\n" + more);
    return path;
  }

  std::vector<std::string> command(const std::string& run) const {
    return {kLathe, "run", config.string(), "--folder", (folder / run).string()};
  }
  std::string summary(const std::string& run) const {
    return read_file(folder / run / "summary.json");
  }

  static constexpr const char* kSearch =
      "{objectives: [accuracy, latency@pi], constraints: [\"latency@pi <= 30ms\"], "
      "population: 10, batch: 5, budget: {evaluations: 60}}";
};

/// Runs the program and expects that it is refused with exit status `code` and all `parts`.
inline void check_refused(const std::vector<std::string>& arguments, int code,
                          const std::vector<std::string>& parts) {
  const auto [actual, output] = run_program(arguments, kNoModule);
  INFO(output);
  CHECK(actual == code);
  for (const std::string& part : parts) {
    CHECK_MESSAGE(output.find(part) != std::string::npos, part);
  }
}

}  // namespace lathe::test
