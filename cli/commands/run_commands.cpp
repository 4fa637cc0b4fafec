#include <cstdio>
#include <string>

#include "cli/commands/commands.h"
#include "cli/group_work.h"
#include "cli/pipeline/compressor.h"
#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/pipeline.h"
#include "cli/pipeline/run_config.h"
#include "cli/report/front_table.h"
#include "cli/report/scaling_table.h"
#include "cli/text_table.h"
#include "core/error.h"
#include "core/progress.h"
#include "search/evaluation/candidate.h"
#include "supernet/training_memory.h"

namespace lathe::cli {
namespace {

void print_stages(const report::RunSummary& summary) {
  TextTable table({"stage", "wall time", "peak memory", ""});
  for (const report::Stage& stage : summary.stages) {
    table.add({stage.name, format_duration(stage.seconds),
               format_bytes(static_cast<double>(stage.peak_memory_bytes)),
               stage.resumed ? "resumed" : ""});
  }
  table.add({"total", format_duration(report::total_seconds(summary)),
             format_bytes(static_cast<double>(report::peak_memory_bytes(summary))), ""});
  std::printf("%s", table.text().c_str());
}

std::vector<std::string> cost_row(const std::string& name, const search::SearchSpace& space,
                                  const search::Architecture& architecture) {
  const search::CountedCandidate counted = search::make_candidate(space, architecture, 0);
  std::vector<std::string> row = {name};
  for (const char* metric : {"macs", "params", "peak_memory", "model_size"}) {
    const auto known = counted.counted.find(search::parse_metric(metric));
    row.push_back(known == counted.counted.end()
                      ? "-"
                      : search::format_metric(known->first, known->second.value));
  }
  const auto& network = counted.candidate.network;
  row.push_back(network ? std::to_string(network->input_shape().at(2)) + " px" : "-");
  return row;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string megabytes(int64_t bytes) { return std::to_string(bytes / 1'000'000) + " MB"; }

void print_training(const supernet::SupernetOptions& options, const search::SearchSpace& space) {
  std::printf("data       %s, %lld images for validation, %lld for calibration\n",
              options.data.dataset.c_str(), static_cast<long long>(options.data.validation),
              static_cast<long long>(options.data.calibration));
  std::printf("supernet   %s, %g epochs, batch %lld\n", options.train.sampler.name.c_str(),
              options.train.epochs, static_cast<long long>(options.train.batch));
  const auto memory = supernet::estimate_training_memory(space, options.train, 0);
  std::printf(
      "           about %s of memory for training, %s of it activations; besides the images\n",
      megabytes(memory.total()).c_str(), megabytes(memory.activations).c_str());
}

void print_search(const RunConfig& config) {
  std::vector<std::string> objectives;
  std::vector<std::string> constraints;
  for (const search::Metric& metric : config.search.problem.objectives) {
    objectives.push_back(search::to_string(metric));
  }
  for (const search::Constraint& constraint : config.search.problem.constraints) {
    constraints.push_back(search::to_string(constraint));
  }
  std::printf("search     %s, %lld evaluations, objectives %s\n",
              config.search.strategy.name.c_str(),
              static_cast<long long>(config.search.budget.evaluations), joined(objectives).c_str());
  std::printf("           constraints: %s\n",
              constraints.empty() ? "none" : joined(constraints).c_str());
  for (const auto& [device, table] : config.tables) {
    std::printf("device     %s: replayed from %s, column %s, noise %g %%\n", device.c_str(),
                table.table.c_str(), table.column.c_str(), 100.0 * table.noise);
  }
  for (const latency::DeviceConfig& device : config.boards()) {
    std::printf("device     %s: %s, %s, %d thread%s, at most %s of board time a network\n",
                device.name.c_str(),
                device.agents.empty() ? "a local agent" : joined(device.agents).c_str(),
                device.engine.c_str(), device.threads, device.threads == 1 ? "" : "s",
                format_duration(device.plan.budget_s).c_str());
  }
}

void print_compression(const RunConfig& config) {
  const Compressor compressor(config, {});
  if (config.accuracy || !compressor.takes_long()) return;
  std::printf("compress   %s\n", compressor.recipe(compressor.precisions().back()).c_str());
}

void print_result(const report::RunSummary& summary, const std::filesystem::path& folder) {
  print_stages(summary);
  std::printf("\n%s", report::front_table(summary).c_str());
  if (summary.search.scaling) {
    std::printf("\n%s", report::scaling_table(*summary.search.scaling).c_str());
  }
  for (const std::string& warning : summary.warnings) std::printf("warning: %s\n", warning.c_str());
  std::printf("\nreport: %s\n", (folder / "report.html").c_str());
}

/// \throws Error if the user asked to stop.
void run_pipeline(const RunConfig& config, Until until, supernet::Group* group) {
  const auto progress = terminal_progress();
  Pipeline pipeline(config, *progress, group);
  const bool complete = pipeline.run(until);
  if (!complete) throw Error("stopped; the same command continues run " + config.name);
  if (until == Until::Report) print_result(pipeline.summary(), config.folder);
}

}  // namespace

void run_command(const RunArguments& arguments, Until until) {
  RunConfig config = read_run_config(arguments.config, arguments.overrides, arguments.folder);
  if (until == Until::Train && config.accuracy) {
    throw ConfigError(config.file.string() +
                      ": its accuracies come from a table (`accuracy`), so there is nothing to "
                      "train; `lathe run` searches and reports");
  }
  // A run over tables trains nothing, so there is no work to share.
  if (config.accuracy) return run_pipeline(config, until, nullptr);
  const auto options = [&config] {
    load_teacher(config.supernet);
    return config.supernet;
  };
  with_group(*config.space, options,
             [&](supernet::Group* group) { run_pipeline(config, until, group); });
}

void plan_command(const RunArguments& arguments) {
  const RunConfig config = read_run_config(arguments.config, arguments.overrides, arguments.folder);
  search::check_feasible(*config.space, config.search.problem.constraints);
  Evaluators(config, {}).check_tables();
  std::printf("run        %s in %s, seed %llu\n", config.name.c_str(), config.folder.c_str(),
              static_cast<unsigned long long>(config.seed));
  if (config.accuracy) {
    std::printf("accuracy   looked up in %s, column %s; nothing is trained or exported\n",
                config.accuracy->table.c_str(), config.accuracy->column.c_str());
  } else {
    print_training(config.supernet, *config.space);
  }
  std::printf("space      %s: %s architectures, %zu genes\n", config.space->name().c_str(),
              config.space->count().c_str(), config.space->genes().size());
  print_search(config);
  print_compression(config);
  TextTable table({"network", "MACs", "params", "activations", "fp32 size", "input"});
  table.add(cost_row("smallest", *config.space, config.space->smallest()));
  table.add(cost_row("largest", *config.space, config.space->largest()));
  std::printf("\n%s", table.text().c_str());
}

}  // namespace lathe::cli
