#include <cstdio>
#include <string>

#include "cli/commands/commands.h"
#include "cli/pipeline/block_table_builder.h"
#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/run_config.h"
#include "cli/text_table.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "search/evaluation/candidate.h"

namespace lathe::cli {
namespace {

/// The board that is meant: the one named, or the only one.
std::string wanted_board(const RunConfig& config, const std::string& name) {
  std::string names;
  for (const latency::DeviceConfig& board : config.boards()) {
    if (board.name == name) return name;
    names += (names.empty() ? "" : ", ") + board.name;
  }
  if (names.empty()) {
    throw ConfigError(config.file.string() +
                      ": every device is a table (`replay`), expected a board to measure on");
  }
  if (!name.empty()) {
    throw ConfigError("--device " + name + ": expected a board of " + config.file.string() + ": " +
                      names);
  }
  if (config.boards().size() > 1) {
    throw ConfigError(config.file.string() + " has several boards (" + names +
                      "): name one with --device");
  }
  return names;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

void print_table(const search::BlockTable& table, const std::string& file, double seconds) {
  std::printf("%zu blocks of %s on %s (%s %s, %s, %d thread%s) in %s\n", table.blocks.size(),
              table.space.c_str(), table.device.c_str(), table.engine.c_str(),
              table.engine_version.c_str(), latency::to_string(table.precision), table.threads,
              table.threads == 1 ? "" : "s", format_duration(seconds).c_str());
  std::printf("they are %s %% of the blocks of the networks drawn from the space\n\n",
              fixed(100.0 * table.covered, 1).c_str());
  TextTable text({"predicting " + std::to_string(table.networks.size()) + " whole networks",
                  "mean error %", "Spearman", "Kendall"});
  const char* meanings[] = {"sum of the entries", "reconciled, held out",
                            "by MACs instead of entries, held out"};
  for (size_t i = 0; i < table.reports.size() && i < 3; ++i) {
    const models::ModelReport& report = table.reports[i];
    text.add({meanings[i], fixed(100.0 * report.mape, 2), fixed(report.spearman, 3),
              fixed(report.kendall, 3)});
  }
  std::printf("%s\nwritten to %s; a search starts from it with\n", text.text().c_str(),
              file.c_str());
  std::printf("  search: {strategy: {name: surrogate, block_tables: {%s: %s}}}\n",
              table.device.c_str(), file.c_str());
}

}  // namespace

void build_table_command(const TableArguments& arguments) {
  const RunConfig config = read_run_config(arguments.config, arguments.overrides);
  if (!search::has_networks(*config.space)) {
    throw ConfigError(config.space_file.string() + ": " + config.space->name() +
                      " is a table's space, without networks whose blocks could be measured");
  }
  BlockTableOptions options;
  options.device = wanted_board(config, arguments.device);
  options.blocks = arguments.blocks;
  options.networks = arguments.networks;
  std::filesystem::path file = arguments.output;
  if (file.empty()) file = "tables/" + config.space->name() + "-" + options.device + ".json";
  std::filesystem::path store = config.measurements;
  if (store.empty()) store = std::filesystem::path(file).replace_extension(".sqlite");
  const double begin_s = steady_clock().now_s();
  Evaluators evaluators(config, store);
  const auto progress = terminal_progress();
  const auto table = build_block_table(config, options, evaluators, *progress);
  if (!table) {
    std::fprintf(stderr, "stopped; %s keeps what was measured, the same command goes on\n",
                 store.c_str());
    return;
  }
  write_file_atomically(file, search::to_json(*table));
  print_table(*table, file.string(), steady_clock().now_s() - begin_s);
}

}  // namespace lathe::cli
