#include <cstdio>
#include <filesystem>

#include "cli/commands/commands.h"
#include "cli/interrupt.h"
#include "cli/pipeline/open_supernet.h"
#include "cli/pipeline/ranking_study.h"
#include "cli/pipeline/run_config.h"
#include "cli/pipeline/saved_config.h"
#include "cli/report/html_report.h"
#include "cli/report/ranking.h"
#include "cli/report/summary_json.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"

namespace lathe::cli {

void rank_command(const RankArguments& arguments) {
  const std::filesystem::path& run = arguments.run;
  if (!std::filesystem::exists(run / "config.yaml")) {
    throw DataError((run / "config.yaml").string() +
                    ": no such file: expected the folder of a run (lathe train CONFIG)");
  }
  const RunConfig config = read_saved_config(run);
  if (config.accuracy) {
    throw ConfigError(run.string() +
                      ": its accuracies come from a table, so there is no supernet to rank");
  }
  const FileLock lock(run / "lock");
  const auto supernet = open_supernet(config, run);
  if (!supernet->trained()) {
    throw ConfigError(run.string() +
                      ": its supernet is not trained to the end; lathe train CONFIG does that");
  }
  RankingStudy study(config, run,
                     {arguments.subnets, arguments.epochs, arguments.learning_rate, arguments.seed},
                     *supernet);
  const auto progress = terminal_progress();
  if (!study.run(*progress, [] { return interrupted(); })) {
    throw Error("stopped; the same command continues");
  }
  std::printf("%s\n%s\n", report::ranking_table(study.ranking()).c_str(),
              (run / "ranking.json").c_str());
  if (!std::filesystem::exists(run / "summary.json")) return;
  const report::RunSummary summary = report::read_summary(run / "summary.json");
  write_file_atomically(run / "report.html", report::html_report(summary, &study.ranking()));
  std::printf("%s\n", (run / "report.html").c_str());
}

}  // namespace lathe::cli
