// The program `lathe` of a build for training alone (LATHE_TRAINING_ONLY): the one command `train`.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/group_work.h"
#include "cli/guarded.h"
#include "cli/interrupt.h"
#include "cli/training/training_config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/progress.h"

namespace lathe::cli {
namespace {

struct Arguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  std::filesystem::path folder;
};

void train(const TrainingConfig& config, supernet::Group* group) {
  std::filesystem::create_directories(config.folder);
  const FileLock lock(config.folder / "lock");
  log::to_json_lines(config.folder / "log.jsonl");
  const auto supernet =
      supernet::load_supernet_module().create(*config.space, config.supernet, config.folder, group);
  const auto progress = terminal_progress();
  const auto records = supernet->train(*progress, interrupted);
  if (!supernet->trained()) throw Error("stopped; the same command continues run " + config.name);
  std::printf("trained %s: validation accuracy %.4f largest, %.4f smallest\n", config.name.c_str(),
              records.back().top1_largest, records.back().top1_smallest);
  std::printf("`lathe run` of a full lathe goes on in %s\n", config.folder.c_str());
}

void train_command(const Arguments& arguments) {
  const TrainingConfig config =
      read_training_config(arguments.config, arguments.overrides, arguments.folder);
  with_group(
      *config.space, [&config] { return config.supernet; },
      [&config](supernet::Group* group) { train(config, group); });
}

int run(int argc, char** argv) {
  CLI::App app(
      "lathe, built for training alone: it trains a supernet into a run folder, where `lathe run` "
      "of a full "
      "lathe goes on",
      "lathe");
  app.set_version_flag("--version", "lathe " LATHE_VERSION " (training only)");
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App* command = app.add_subcommand("train", "Train the supernet of a run");
  command->add_option("config", arguments.config, "YAML or JSON file that describes the run")
      ->required();
  command->add_option("--set", arguments.overrides, "Override a key (repeatable)")
      ->type_name("KEY=VALUE");
  command->add_option("--folder", arguments.folder,
                      "Run folder (default: run.folder of the config, or runs/NAME)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  log::to_stderr(log::Level::Warning);
  install_interrupt_handler();
  return guarded([&] { train_command(arguments); });
}

}  // namespace
}  // namespace lathe::cli

int main(int argc, char** argv) { return lathe::cli::run(argc, argv); }
