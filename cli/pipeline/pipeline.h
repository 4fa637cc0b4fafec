#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/pipeline/baselines.h"
#include "cli/pipeline/evaluators.h"
#include "cli/pipeline/exporter.h"
#include "cli/pipeline/run_config.h"
#include "cli/pipeline/run_folder.h"
#include "cli/report/run_summary.h"
#include "core/progress.h"
#include "search/strategy/controller.h"

namespace lathe::cli {

/// The stages of a run, in order: prepare, train, search, export, confirm, test, baselines, report;
/// without train, export and test where accuracies are a table's, without baselines where no device
/// is a board. Each is skipped when the run folder says that it is done; a stage that was
/// interrupted continues from what it had saved. Not thread-safe.
class Pipeline {
 public:
  /// Opens the run folder. `group`: the processes that train and evaluate together, of which this
  /// is rank 0; it must outlive the pipeline. \throws ConfigError, DataError as RunFolder.
  Pipeline(RunConfig config, Progress& progress, supernet::Group* group = nullptr);
  ~Pipeline();

  /// Runs the stages up to `until`. Returns false if the user asked to stop before they were
  /// complete. \throws ConfigError if a constraint cannot be met; DataError, DeviceError, Error.
  bool run(Until until);

  /// What the run has found; complete after run(Until::Report).
  const report::RunSummary& summary() const { return summary_; }

 private:
  void prepare();
  bool train();
  bool search();
  bool settle_winners();
  bool export_networks();
  bool confirm();
  bool test();
  void measure_baselines();
  void report();

  /// Works on every chosen network, as one stage, unless everything asked for is there already;
  /// `work` returns false if it was interrupted.
  bool for_chosen(const std::string& stage, bool (Exporter::*is_done)(const ChosenNetwork&) const,
                  const std::function<bool(const ChosenNetwork&)>& work);
  supernet::Supernet& supernet();
  supernet::TestSplit& test_split();
  void measure_smallest();

  RunConfig config_;
  Progress& progress_;
  supernet::Group* group_;
  RunFolder folder_;
  Exporter exporter_;
  Evaluators evaluators_;
  std::unique_ptr<supernet::Supernet> supernet_;
  std::vector<supernet::EpochRecord> epochs_;
  search::SearchOutcome outcome_;
  std::vector<ChosenNetwork> chosen_;
  std::unique_ptr<supernet::TestSplit> test_split_;
  BaselineModels baseline_models_;
  MeasuredBaselines baselines_;
  report::RunSummary summary_;
};

}  // namespace lathe::cli
