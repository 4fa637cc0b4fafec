#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "cli/commands/commands.h"
#include "cli/guarded.h"
#include "cli/interrupt.h"
#include "core/log.h"

namespace lathe::cli {
namespace {

constexpr const char* kDescription =
    R"(lathe finds a neural network that is as accurate as possible and provably fast enough on your own board.

A first run, on this machine, with data from the distribution:
  lathe plan configs/quickstart.yaml        what the run amounts to, in a moment
  lathe run  configs/quickstart.yaml        train, search, export and report; run it again to continue

With boards: start `lathe-agent` on each (docs/boards.md), name them under `devices` in the
config, and look at them with `lathe devices --config FILE`.)";

constexpr const char* kFooter = R"(Exit codes: 0 ok, 2 usage or config, 3 data, 4 device, 1 other.
`lathe COMMAND --help` explains a command with an example.)";

void add_run_arguments(CLI::App& command, RunArguments& arguments) {
  command.add_option("config", arguments.config, "YAML or JSON file that describes the run")
      ->required();
  command
      .add_option("--set", arguments.overrides,
                  "Override a key, for example --set search.budget.evaluations=400 (repeatable)")
      ->type_name("KEY=VALUE");
  command.add_option("--folder", arguments.folder,
                     "Run folder (default: run.folder of the config, or runs/NAME)");
}

void add_device_arguments(CLI::App& command, DeviceArguments& arguments) {
  CLI::Option* config =
      command.add_option("--config", arguments.config, "Take the devices of this config");
  command.add_option("--set", arguments.overrides, "Override a key of the config")
      ->type_name("KEY=VALUE")
      ->needs(config);
  // What a config says itself is not to be said beside it.
  const std::vector<CLI::Option*> alone = {
      command.add_option("--agent", arguments.agents,
                         "Address of an agent, host:port (repeatable; default: a local agent)"),
      command.add_option("--token-file", arguments.token_file,
                         "File with the agents' bearer token"),
      command.add_option("--tls-ca", arguments.tls_ca, "CA that signed the agents' certificates"),
      command.add_option("--tls-certificate", arguments.tls_certificate, "Our certificate"),
      command.add_option("--tls-key", arguments.tls_key, "Its key"),
      command.add_flag("--allow-plaintext", arguments.allow_plaintext,
                       "Talk to agents beyond loopback without TLS: token and models cross the "
                       "network in the clear"),
      command.add_option("--engine", arguments.engine, "Inference engine on the device")
          ->capture_default_str(),
      command.add_option("--threads", arguments.threads, "Threads of the engine")
          ->check(CLI::Range(1, 256))
          ->capture_default_str()};
  for (CLI::Option* option : alone) option->excludes(config);
  command.add_flag("--json", arguments.json, "Print JSON instead of a table");
}

/// The parsed arguments of every command; they live as long as the parser.
struct Arguments {
  RunArguments run;
  DeviceArguments devices;
  bool doctor = false;
  MeasureArguments measure;
  ExportArguments exported;
  CompressArguments compress;
  ReportArguments report;
  RankArguments rank;
  MeasurementsArguments measurements;
  TableArguments table;
  DataArguments data;
  CertificateArguments certificates;
  bool verbose = false;
  std::function<void()> chosen;
};

void add_pipeline_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* run =
      app.add_subcommand("run", "Train, search, export and report; continues where it stopped");
  add_run_arguments(*run, arguments.run);
  run->footer(
      "Kill it at any moment and run the same command again: it goes on with the step that was in "
      "flight.\n"
      "More search later: lathe run CONFIG --set search.budget.evaluations=800");
  run->callback([&] { arguments.chosen = [&] { run_command(arguments.run, Until::Report); }; });

  CLI::App* plan =
      app.add_subcommand("plan", "Check a config and show what it amounts to; trains nothing");
  add_run_arguments(*plan, arguments.run);
  plan->callback([&] { arguments.chosen = [&] { plan_command(arguments.run); }; });

  CLI::App* train = app.add_subcommand("train", "Train the supernet of a run and stop there");
  add_run_arguments(*train, arguments.run);
  train->callback([&] { arguments.chosen = [&] { run_command(arguments.run, Until::Train); }; });

  CLI::App* search =
      app.add_subcommand("search", "Train if needed, search, and stop before the export");
  add_run_arguments(*search, arguments.run);
  search->callback([&] { arguments.chosen = [&] { run_command(arguments.run, Until::Search); }; });
}

void add_device_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* devices =
      app.add_subcommand("devices", "Show the boards, their engines and what makes them noisy");
  add_device_arguments(*devices, arguments.devices);
  devices->add_flag(
      "--doctor", arguments.doctor,
      "What makes each board noisy: what was read, what it does to measurements, what "
      "mends it");
  devices->footer(
      "Example: lathe devices --agent pi4.local:50051 --token-file token --allow-plaintext "
      "--doctor");
  devices->callback(
      [&] { arguments.chosen = [&] { devices_command(arguments.devices, arguments.doctor); }; });

  CLI::App* measure =
      app.add_subcommand("measure", "Measure the latency of an ONNX file on a device");
  measure->add_option("model", arguments.measure.model, "ONNX file of lathe's operators")
      ->required();
  add_device_arguments(*measure, arguments.measure.device);
  measure
      ->add_option("--device", arguments.measure.device_name,
                   "Name of a device of --config (default: all)")
      ->needs("--config");
  measure
      ->add_option("--precision", arguments.measure.precision,
                   "fp32, fp16 or int8 (default: int8 for a quantised model (QDQ), else the "
                   "config's, or fp32)")
      ->check(CLI::IsMember({"fp32", "fp16", "int8"}));
  measure
      ->add_option(
          "--half-width", arguments.measure.half_width,
          "Relative half-width of the 95 % interval to reach (default: the config's, or 0.01)")
      ->check(CLI::Range(1e-4, 0.5));
  measure->add_option("--budget", arguments.measure.budget,
                      "Board time at most, such as 20s (default: the config's, or 10s)");
  measure->add_option(
      "--sustain", arguments.measure.sustain,
      "Heat the board to its steady state first, so long at most, such as 5min: "
      "what a network takes that runs without pause (default: the config's, or no)");
  measure
      ->add_option("--energy", arguments.measure.energy,
                   "Run for so long more while the board's energy sensor is read (default: the "
                   "config's, or no; alone: 5s)")
      ->expected(0, 1)
      ->default_str("5s");
  measure->add_flag("--profile", arguments.measure.profile, "Also time every operator");
  measure->add_option("--output", arguments.measure.output,
                      "Write the result as JSON to this file");
  measure->footer("Example: lathe measure runs/quickstart/export/net-01/model.onnx --profile");
  measure->callback([&] { arguments.chosen = [&] { measure_command(arguments.measure); }; });
}

void add_result_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* exported =
      app.add_subcommand("export", "Copy the files of picked networks, and check them");
  exported->add_option("run", arguments.exported.run, "Run folder")->required();
  exported
      ->add_option("--pick", arguments.exported.pick,
                   "best, fastest, knee, all, an id such as net-02, or a bound: "
                   "'latency@pi4<=20ms' picks the most "
                   "accurate network within it, 'accuracy>=0.9' the fastest")
      ->capture_default_str();
  exported->add_option("--out", arguments.exported.output,
                       "Folder for the files (default: RUN/picked)");
  exported->add_flag("--check", arguments.exported.check,
                     "Compare LibTorch with ONNX Runtime on test images (export.check_images); "
                     "refuse above 1e-4 (int8: below 99 % of equal classes). "
                     "Needs the data set");
  exported->add_flag("--torchscript", arguments.exported.torchscript,
                     "Write float networks as model.torchscript.pt, too (torch::jit::load)");
  exported->footer("Example: lathe export runs/quickstart --pick knee --out deploy --check");
  exported->callback([&] { arguments.chosen = [&] { export_command(arguments.exported); }; });

  CLI::App* compress = app.add_subcommand(
      "compress", "Prune and quantise a trained network that lathe did not find");
  CompressArguments& asked = arguments.compress;
  compress->add_option("model", asked.model, "ONNX file of a float network of lathe's operators")
      ->required();
  compress->add_option("--data", asked.data,
                       "Data set it was trained on: fashion_mnist, mnist, cifar10, cifar100 "
                       "(others by --config); images are normalised to mean 0 and deviation 1");
  compress->add_option("--prune", asked.prune,
                       "Remove channels until this holds, such as \"macs x0.5\" or "
                       "\"latency@local <= 2ms\"; fine-tuned between the rounds");
  compress->add_flag("--int8", asked.int8, "Then quantise to int8");
  compress->add_flag(
      "--sensitivity", asked.sensitivity,
      "Change nothing: show what accuracy each layer costs when it alone is pruned or "
      "in int8");
  compress->add_option("--config", asked.config,
                       "Sections data, supernet (batch, momentum, ...), compress (prune, "
                       "quantize) and devices, as in docs/configuration.md");
  compress->add_option("--set", asked.overrides, "Override a key of it (repeatable)");
  compress->add_option("--out", asked.output, "Folder for the files")->default_val("compressed");
  compress->footer(
      "Example: lathe compress model.onnx --data fashion_mnist --prune \"macs x0.5\" --int8");
  compress->callback([&] { arguments.chosen = [&] { compress_command(asked); }; });

  CLI::App* report = app.add_subcommand("report", "Write report.html anew and print the front");
  report->add_option("run", arguments.report.run, "Run folder")->required();
  report->add_option("--out", arguments.report.output, "HTML file (default: RUN/report.html)");
  report->callback([&] { arguments.chosen = [&] { report_command(arguments.report); }; });
}

void add_supernet_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* supernet = app.add_subcommand("supernet", "Look into the trained supernet of a run");
  supernet->require_subcommand(1);
  CLI::App* rank = supernet->add_subcommand(
      "rank", "How well inherited accuracy orders networks: some are trained alone to compare");
  RankArguments& options = arguments.rank;
  rank->add_option("run", options.run, "Run folder with a trained supernet")->required();
  rank->add_option("--subnets", options.subnets,
                   "Networks, spread over the space by their MACs (default: 12)")
      ->check(CLI::Range(4, 1000));
  rank->add_option("--epochs", options.epochs,
                   "Epochs of each alone, from random weights (default: half of supernet.epochs)")
      ->check(CLI::PositiveNumber);
  rank->add_option("--learning-rate", options.learning_rate,
                   "Cosine to zero after a warm-up (default: supernet.learning_rate)")
      ->check(CLI::PositiveNumber);
  rank->add_option("--seed", options.seed,
                   "Of the choice, the weights and the batches (default: the run's)")
      ->check(CLI::NonNegativeNumber);
  rank->footer(
      "Example: lathe supernet rank runs/quickstart --epochs 3\n"
      "Kill it at any moment and run the same command again: networks that are trained stay so. "
      "It\n"
      "writes RUN/ranking.json and adds the comparison to RUN/report.html.");
  rank->callback([&] { arguments.chosen = [&] { rank_command(arguments.rank); }; });
}

void add_measurement_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* list = app.add_subcommand("measurements", "List or export what was measured");
  CLI::Option* store = list->add_option("store", arguments.measurements.store,
                                        "Run folder, or a file measurements.sqlite");
  list->require_subcommand(0, 1);
  list->footer(
      "Examples: lathe measurements runs/quickstart\n"
      "          lathe measurements export runs/quickstart --device pi4 -o pi4.csv");
  CLI::App* exported = list->add_subcommand("export", "Write the measurements as CSV");
  exported
      ->add_option("store", arguments.measurements.store,
                   "Run folder, or a file measurements.sqlite")
      ->required();
  exported->add_option("--device", arguments.measurements.device,
                       "A device's name, or how its fingerprint begins (default: all)");
  exported->add_option("--network", arguments.measurements.network,
                       "How a network's digest begins, column `structure` (default: all)");
  exported->add_option("-o,--output", arguments.measurements.output,
                       "CSV file (default: standard output)");
  exported->callback(
      [&] { arguments.chosen = [&] { export_measurements_command(arguments.measurements); }; });
  list->callback([&arguments, exported, store] {
    if (exported->parsed()) return;
    if (store->count() == 0) throw CLI::RequiredError("store");
    arguments.chosen = [&] { measurements_command(arguments.measurements); };
  });
}

void add_table_command(CLI::App& app, Arguments& arguments) {
  CLI::App* table = app.add_subcommand("table", "Look-up tables of a space's blocks on a board");
  table->require_subcommand(1);
  CLI::App* build = table->add_subcommand(
      "build", "Measure every block of a config's space alone, and some whole networks");
  build->add_option("config", arguments.table.config, "YAML or JSON file that describes a run")
      ->required();
  build->add_option("--set", arguments.table.overrides, "Override a key of the config (repeatable)")
      ->type_name("KEY=VALUE");
  build->add_option("--device", arguments.table.device,
                    "Name of a board of the config (default: the only one)");
  build
      ->add_option("--blocks", arguments.table.blocks,
                   "Blocks at most; the most frequent ones of 2,000 drawn networks")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  build
      ->add_option("--networks", arguments.table.networks,
                   "Whole networks that show how far the sum of entries can be trusted")
      ->check(CLI::Range(8, 100000))
      ->capture_default_str();
  build->add_option("-o,--output", arguments.table.output,
                    "JSON file (default: tables/SPACE-DEVICE.json)");
  build->footer(
      "Example: lathe table build configs/quickstart.yaml\n"
      "Measurements are kept beside the table (or in run.measurements): a build that was stopped,\n"
      "or is repeated with more blocks, measures only what is missing.");
  build->callback([&] { arguments.chosen = [&] { build_table_command(arguments.table); }; });
}

void add_certificate_command(CLI::App& app, Arguments& arguments) {
  CLI::App* certificates =
      app.add_subcommand("certs",
                         "Make the certificates with which boards and lathe know each "
                         "other (TLS)");
  certificates
      ->add_option("folder", arguments.certificates.folder,
                   "Folder of the certificates; made when it is missing, with an authority "
                   "and a controller's certificate")
      ->required();
  certificates->add_option("hosts", arguments.certificates.hosts,
                           "One a board: its names and addresses as configs use them, "
                           "pi4-a.local,192.168.1.20");
  certificates->add_option("--controller", arguments.certificates.controllers,
                           "Another controller's certificate, by its name (repeatable)");
  certificates->add_option("--days", arguments.certificates.days, "How long new ones are valid")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  certificates->add_flag("--renew", arguments.certificates.renew,
                         "Replace those of the named boards and controllers that are there");
  certificates->footer(
      "Example: lathe certs certs pi4-a.local,192.168.1.20 pi4-b.local\n"
      "Without a board it lists what is there and until when it is valid.");
  certificates->callback(
      [&] { arguments.chosen = [&] { certificates_command(arguments.certificates); }; });
}

void add_data_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* data = app.add_subcommand("data", "Look at a data set, or get one");
  data->require_subcommand(1);
  CLI::App* show = data->add_subcommand("show", "Classes, splits, mean, what is unbalanced");
  show->add_option("source", arguments.data.source,
                   "A config, or the name of a data set (fashion_mnist, mnist, cifar10, cifar100)")
      ->required();
  show->add_option("--set", arguments.data.overrides, "Override a key of the config (repeatable)")
      ->type_name("KEY=VALUE");
  show->add_option("--path", arguments.data.path,
                   "Folder of a named data set (default: where it usually is)");
  show->add_flag("--json", arguments.data.json, "Print JSON");
  show->footer(
      "Example: lathe data show configs/quickstart.yaml\nEvery training image is checked.");
  show->callback([&] { arguments.chosen = [&] { show_data_command(arguments.data); }; });
  CLI::App* fetch = data->add_subcommand("fetch", "Get a data set, or learn how to get it");
  fetch->add_option("dataset", arguments.data.source, "cifar10 (by npm); of others, where it is")
      ->required();
  fetch->add_option("--to", arguments.data.path,
                    "Folder (default: ~/.cache/lathe/datasets/NAME, where lathe looks)");
  fetch->footer(
      "Example: lathe data fetch cifar10\n"
      "Does nothing if the data are there; an interrupted fetch leaves nothing behind.");
  fetch->callback([&] {
    arguments.chosen = [&] { fetch_data_command(arguments.data.source, arguments.data.path); };
  });
}

}  // namespace

int run_program(int argc, char** argv) {
  CLI::App app(kDescription, "lathe");
  app.footer(kFooter);
  app.set_version_flag("--version", "lathe " LATHE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Arguments arguments;
  app.add_flag("-v,--verbose", arguments.verbose, "Also show what happens in the background");
  add_pipeline_commands(app, arguments);
  add_device_commands(app, arguments);
  add_result_commands(app, arguments);
  add_supernet_commands(app, arguments);
  add_measurement_commands(app, arguments);
  add_table_command(app, arguments);
  add_certificate_command(app, arguments);
  add_data_commands(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  log::to_stderr(arguments.verbose ? log::Level::Debug : log::Level::Warning);
  install_interrupt_handler();
  return guarded(arguments.chosen);
}

}  // namespace lathe::cli
