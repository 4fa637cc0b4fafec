#include "cli/pipeline/pipeline.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cli/interrupt.h"
#include "cli/pipeline/open_supernet.h"
#include "cli/pipeline/run_summary_builder.h"
#include "cli/pipeline/saved_config.h"
#include "cli/report/html_report.h"
#include "cli/report/model_card.h"
#include "cli/report/summary_json.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "network/onnx.h"
#include "network/onnx_runtime_check.h"
#include "search/archive/journal.h"
#include "search/strategy/controller.h"

namespace lathe::cli {
namespace {

/// Runs a network of one operator, so that a missing ONNX Runtime stops a run before it trains, not
/// after.
void require_onnx_runtime() {
  network::Network network;
  const network::NodeId input = network.add_input("input", {1, 1, 2, 2});
  network.add("relu", network::Activation{network::ActivationKind::Relu}, {input});
  try {
    network::run_with_onnx_runtime(network::to_onnx({network, {}}),
                                   {{1, 1, 2, 2}, {1.0F, 2.0F, 3.0F, 4.0F}});
  } catch (const DataError& error) {
    throw DataError(std::string(error.what()) +
                    "; exported networks are checked with it: export.check: false goes on without");
  }
}

}  // namespace

Pipeline::Pipeline(RunConfig config, Progress& progress, supernet::Group* group)
    : config_(std::move(config)),
      progress_(progress),
      group_(group),
      folder_(config_.folder, saved_config(config_), config_.identity),
      exporter_(config_, folder_.file("export")),
      evaluators_(config_, config_.measurements.empty() ? folder_.file("measurements.sqlite")
                                                        : config_.measurements) {
  log::to_json_lines(folder_.file("log.jsonl"));
  write_file_atomically(folder_.file("space.yaml"), read_file(config_.space_file));
}

Pipeline::~Pipeline() = default;

bool Pipeline::run(Until until) {
  const auto summary = folder_.file("summary.json");
  if (until == Until::Report && folder_.unchanged() && folder_.done("report") &&
      std::filesystem::exists(summary) && std::filesystem::exists(folder_.file("report.html"))) {
    summary_ = report::read_summary(summary);
    return true;
  }
  prepare();
  if (!config_.accuracy && !train()) return false;
  if (until == Until::Train) return true;
  if (!search()) return false;
  if (until == Until::Search) return true;
  if (!settle_winners() || !test()) return false;
  measure_baselines();
  report();
  return true;
}

supernet::Supernet& Pipeline::supernet() {
  if (!supernet_) supernet_ = open_supernet(config_, folder_.path(), group_);
  return *supernet_;
}

supernet::TestSplit& Pipeline::test_split() {
  if (!test_split_) {
    test_split_ = supernet::load_supernet_module().open_test_split(
        config_.supernet, folder_.file("test_reads.jsonl"));
  }
  return *test_split_;
}

void Pipeline::prepare() {
  search::check_feasible(*config_.space, config_.search.problem.constraints);
  evaluators_.check_tables();
  std::optional<StageTimer> timer;
  if (!folder_.done("prepare")) timer.emplace(folder_, "prepare");
  if (!config_.accuracy) {
    if (config_.exported.check && !folder_.done("test")) require_onnx_runtime();
    supernet::load_supernet_module().inspect_data(
        config_.supernet);  // the test files, too, are there
  }
  if (!config_.accuracy) exporter_.compressor().read_teachers();
  baseline_models_ = read_baseline_models(config_);
  // Asked at every start: the boards may have changed since the last one.
  exporter_.set_boards(evaluators_.agents());
  measure_smallest();
  if (!config_.accuracy) supernet();
  if (timer) timer->finish();
}

/// Constraints on the latency of boards are held against the smallest network's measured latency
/// before anything long starts.
void Pipeline::measure_smallest() {
  if (folder_.done("search")) return;
  search::Metrics measured;
  for (const search::Constraint& constraint : config_.search.problem.constraints) {
    const search::Metric& metric = constraint.metric;
    if (!search::is_measured(metric.kind) || measured.count(metric) != 0) continue;
    if (config_.tables.count(metric.device) != 0) continue;
    search::LatencyEvaluator& device = evaluators_.latency(metric.device);
    const search::Candidate smallest =
        search::make_candidate(*config_.space, config_.space->smallest(), 0).candidate;
    const auto result = device.measure(smallest, device.default_plan()).get();
    if (!result.ok()) {
      throw DeviceError("device " + metric.device + ": measuring the smallest network: " +
                        to_string(result.failure().kind) + ": " + result.failure().message);
    }
    search::set_measured(measured, metric.device, *result);
  }
  search::check_feasible(*config_.space, config_.search.problem.constraints, measured);
}

bool Pipeline::train() {
  if (folder_.done("train")) {
    epochs_ = supernet().train(progress_, [] { return false; });
    return true;
  }
  StageTimer timer(folder_, "train");
  epochs_ = supernet().train(progress_, [&] {
    timer.touch();
    return interrupted();
  });
  if (!supernet().trained()) return false;
  timer.finish();
  return true;
}

bool Pipeline::search() {
  search::Journal journal(folder_.file("search.sqlite"));
  search::AccuracyEvaluator& accuracy =
      config_.accuracy ? *evaluators_.accuracy_table() : supernet().evaluator();
  search::SearchController controller(*config_.space, accuracy, evaluators_.latencies(),
                                      config_.search, journal, config_.seed);
  // A finished search is run again too: it returns at once, or goes on if its budget was raised.
  std::optional<StageTimer> timer;
  const auto known = static_cast<int64_t>(journal.proposals().size());
  if (!folder_.done("search") || config_.search.budget.evaluations > known) {
    timer.emplace(folder_, "search");
  }
  outcome_ = controller.run(progress_, [&] {
    if (timer) timer->touch();
    return interrupted();
  });
  if (!outcome_.complete) return false;
  if (timer) timer->finish();
  if (outcome_.evaluated.empty()) {
    throw ConfigError(config_.file.string() +
                      ": no network was found that meets the bounds on what is counted together; "
                      "start a run of another name with looser ones, or a finer space");
  }
  if (outcome_.front.empty()) {
    throw ConfigError(
        config_.file.string() + ": none of the " + std::to_string(outcome_.evaluated.size()) +
        " evaluated networks satisfies all constraints; raise search.budget, or start a run "
        "of another name with looser constraints");
  }
  return true;
}

/// The search chose by the luckiest of many measurements. So its choice is measured again, and what
/// then breaks a constraint gives its place to another one, until all winners hold or none is
/// left. Nothing is done twice: the exporter knows what was measured.
bool Pipeline::settle_winners() {
  const auto same = [](const ChosenNetwork& a, const ChosenNetwork& b) {
    return a.evaluated.candidate.architecture == b.evaluated.candidate.architecture;
  };
  for (std::vector<ChosenNetwork> next = exporter_.choose(outcome_.evaluated);
       !std::equal(next.begin(), next.end(), chosen_.begin(), chosen_.end(), same);
       next = exporter_.choose(outcome_.evaluated)) {
    chosen_ = next;
    exporter_.arrange(chosen_);
    if (!config_.accuracy && !export_networks()) return false;
    if (!confirm()) return false;
  }
  exporter_.remove_unchosen();
  return true;
}

bool Pipeline::for_chosen(const std::string& stage,
                          bool (Exporter::*is_done)(const ChosenNetwork&) const,
                          const std::function<bool(const ChosenNetwork&)>& work) {
  const bool all = std::all_of(chosen_.begin(), chosen_.end(), [&](const ChosenNetwork& network) {
    return (exporter_.*is_done)(network);
  });
  if (folder_.done(stage) && all) return true;
  StageTimer timer(folder_, stage);
  progress_.begin(stage, static_cast<int64_t>(chosen_.size()), "network");
  int64_t done = 0;
  for (const ChosenNetwork& network : chosen_) {
    if (interrupted() || !work(network)) return false;
    progress_.update(++done, network.id);
  }
  progress_.end();
  timer.finish();
  return true;
}

bool Pipeline::export_networks() {
  // Compression reports its own progress.
  Progress& inner = exporter_.compressor().takes_long() ? progress_ : no_progress();
  return for_chosen("export", &Exporter::written, [&](const ChosenNetwork& network) {
    return exporter_.write_model(network, supernet(), evaluators_, inner,
                                 [] { return interrupted(); });
  });
}

bool Pipeline::confirm() {
  return for_chosen("confirm", &Exporter::confirmed, [&](const ChosenNetwork& network) {
    exporter_.confirm(network, evaluators_);
    return true;
  });
}

bool Pipeline::test() {
  if (config_.accuracy) return true;
  return for_chosen("test", &Exporter::tested, [&](const ChosenNetwork& network) {
    if (exporter_.tested(network)) return true;
    exporter_.test(network, supernet(), evaluators_, test_split());
    return true;
  });
}

void Pipeline::measure_baselines() {
  if (config_.baselines.empty()) return;
  std::optional<StageTimer> timer;
  if (!folder_.done("baselines")) timer.emplace(folder_, "baselines");
  const std::vector<std::string>& asked = config_.baselines;
  if (std::find(asked.begin(), asked.end(), kLargestBaseline) != asked.end()) {
    baseline_models_[kLargestBaseline] = largest_baseline(*config_.space, supernet());
  }
  baselines_ = cli::measure_baselines(
      config_, baseline_models_, evaluators_,
      [&]() -> supernet::TestSplit& { return test_split(); }, timer ? progress_ : no_progress());
  if (timer) timer->finish();
}

void Pipeline::report() {
  StageTimer timer(folder_, "report");
  // Only an inspection of the files knows the test split; the supernet itself has no way to it.
  const supernet::DataSummary data =
      config_.accuracy ? supernet::DataSummary()
                       : supernet::load_supernet_module().inspect_data(config_.supernet);
  const auto build = [&] {
    return build_summary({config_, folder_, data, epochs_, evaluators_.agents(), outcome_, chosen_,
                          exporter_, baselines_});
  };
  summary_ = build();
  for (const report::FrontNetwork& network : summary_.front) {
    if (config_.accuracy) break;  // no file to describe
    write_file_atomically(folder_.file("export") / network.id / "model_card.md",
                          report::model_card(summary_, network));
  }
  timer.record_so_far();
  summary_ = build();  // with the cards' sizes and this stage's own time
  report::write_summary(folder_.file("summary.json"), summary_);
  const auto ranking = report::read_ranking(folder_.file("ranking.json"));
  write_file_atomically(folder_.file("report.html"),
                        report::html_report(summary_, ranking ? &*ranking : nullptr));
  timer.finish();
}

}  // namespace lathe::cli
