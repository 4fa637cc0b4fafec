#include "experiments/search/winners_study.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/progress.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "experiments/search/study.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "search/strategy/controller.h"

namespace lathe::study {
namespace {

using nlohmann::json;
using search::Evaluated;
using search::SearchOutcome;

constexpr const char* kColumn = "raspi4_ms";
constexpr const char* kMedians = "single medians";
constexpr const char* kBounded = "upper bounds";
constexpr const char* kConfirmed = "confirmed, half-width ";

struct Arguments : StudyArguments {
  std::vector<double> bounds_ms = {10.0, 20.0, 40.0};
  /// The program's default and that of configs/replay_nasbench201.yaml.
  std::vector<double> half_widths = {0.005, 0.002};
  double noise = 0.05;
};

/// A board as tools without confidence bounds see it: its median is taken for the truth.
class Medians : public search::LatencyEvaluator {
 public:
  explicit Medians(search::LatencyEvaluator& board) : board_(board) {}
  const std::string& device() const override { return board_.device(); }
  const latency::MeasurementPlan& default_plan() const override { return board_.default_plan(); }
  bool shares_host() const override { return board_.shares_host(); }
  std::future<Result<latency::LatencyEstimate>> measure(
      const search::Candidate& candidate, const latency::MeasurementPlan& plan) override {
    std::promise<Result<latency::LatencyEstimate>> promise;
    Result<latency::LatencyEstimate> result = board_.measure(candidate, plan).get();
    if (result) result->interval_ms = {result->median_ms, result->median_ms, plan.level};
    promise.set_value(std::move(result));
    return promise.get_future();
  }

 private:
  search::LatencyEvaluator& board_;
};

/// What is searched for, and the board that measures it.
struct Study {
  Benchmark& benchmark;
  search::ReplayLatency& board;
  search::SearchOptions options;
  double bound_ms = 0.0;
  uint64_t seed = 0;
};

SearchOutcome search_once(const Study& study, search::LatencyEvaluator& board, bool racing) {
  search::SearchOptions options = study.options;
  options.racing = racing;
  search::Journal journal(":memory:");
  search::SearchController controller(study.benchmark.space(), study.benchmark.accuracy(), {&board},
                                      options, journal, study.seed);
  return controller.run(no_progress(), [] { return false; });
}

/// What a run reports in the end.
struct Report {
  std::vector<size_t> winners;  ///< the most accurate first
  int64_t refuted = 0;
};

/// The rule of Pipeline::settle_winners() and Exporter::confirm() in cli/pipeline, without their
/// files: what is chosen is measured afresh and longer; what then breaks the constraint gives its
/// place to another one, until all that is chosen has held.
Report settle_winners(const Study& study, const SearchOutcome& outcome, double half_width) {
  latency::MeasurementPlan plan = study.board.default_plan();
  plan.target_half_width = half_width;
  plan.fresh = true;
  std::set<size_t> confirmed;
  std::set<size_t> refuted;
  while (true) {
    const auto winners = choose_winners(outcome.evaluated, study.options.problem, refuted);
    bool settled = true;
    for (const size_t index : winners) {
      if (!confirmed.insert(index).second) continue;
      settled = false;
      const Evaluated& winner = outcome.evaluated[index];
      search::Metrics metrics = winner.metrics;
      metrics[study.options.problem.objectives[1]] =
          search::latency_value(study.board.measure(winner.candidate, plan).get().value());
      if (study.options.problem.violation(metrics) > 0.0) refuted.insert(index);
    }
    if (settled) return {winners, static_cast<int64_t>(refuted.size())};
  }
}

double true_ms(const search::ReplayLatency& board, const search::Architecture& architecture) {
  return board.table().find(architecture, kColumn).value();
}

/// The highest accuracy of all networks that truly meet the bound.
double best_within(Benchmark& benchmark, const search::ReplayLatency& board, double bound_ms) {
  double best = 0.0;
  for (const search::Architecture& architecture : board.table().architectures()) {
    if (true_ms(board, architecture) > bound_ms) continue;
    search::Candidate candidate;
    candidate.architecture = architecture;
    const auto accuracy = benchmark.accuracy().evaluate({candidate}, no_progress());
    best = std::max(best, accuracy[0].value().top1);
  }
  return best;
}

json judge(const Study& study, const std::string& rule, const SearchOutcome& outcome,
           const Report& report, double best) {
  int64_t violating = 0;
  double excess = 0.0;
  for (const size_t index : report.winners) {
    const double ms = true_ms(study.board, outcome.evaluated[index].candidate.architecture);
    if (ms > study.bound_ms) ++violating;
    excess = std::max(excess, 100.0 * (ms / study.bound_ms - 1.0));
  }
  json result = {{"strategy", study.options.strategy.name},
                 {"bound_ms", study.bound_ms},
                 {"seed", study.seed},
                 {"rule", rule},
                 {"winners", report.winners.size()},
                 {"violating", violating},
                 {"refuted", report.refuted},
                 {"worst_excess_percent", excess}};
  if (!report.winners.empty()) {
    const Evaluated& pick = outcome.evaluated[report.winners[0]];
    result["pick_violates"] = true_ms(study.board, pick.candidate.architecture) > study.bound_ms;
    result["pick_lost_points"] = 100.0 * (best - pick.accuracy->top1);
  }
  return result;
}

/// Every rule on one problem; appends to `runs`.
void run_rules(const Arguments& arguments, const Study& study, double best, json& runs) {
  // Without intervals there is nothing to race by.
  Medians medians(study.board);
  const SearchOutcome naive = search_once(study, medians, false);
  const auto chosen = [&](const SearchOutcome& outcome) {
    return Report{choose_winners(outcome.evaluated, study.options.problem, {}), 0};
  };
  runs.push_back(judge(study, kMedians, naive, chosen(naive), best));
  const SearchOutcome outcome = search_once(study, study.board, true);
  runs.push_back(judge(study, kBounded, outcome, chosen(outcome), best));
  for (const double half_width : arguments.half_widths) {
    char rule[64];
    std::snprintf(rule, sizeof(rule), "%s%g", kConfirmed, half_width);
    runs.push_back(judge(study, rule, outcome, settle_winners(study, outcome, half_width), best));
  }
}

/// Of the runs for which `belongs` says so.
json figure_of(const json& runs, const std::function<bool(const json&)>& belongs) {
  int64_t searches = 0, winners = 0, violating = 0, refuted = 0, picks = 0, bad_picks = 0;
  double excess = 0.0;
  std::vector<double> lost;
  for (const json& run : runs) {
    if (!belongs(run)) continue;
    ++searches;
    winners += run.at("winners").get<int64_t>();
    violating += run.at("violating").get<int64_t>();
    refuted += run.at("refuted").get<int64_t>();
    excess = std::max(excess, run.at("worst_excess_percent").get<double>());
    if (!run.contains("pick_violates")) continue;
    ++picks;
    if (run.at("pick_violates").get<bool>()) {
      ++bad_picks;
    } else {
      lost.push_back(run.at("pick_lost_points").get<double>());
    }
  }
  const auto percent = [](int64_t part, int64_t all) {
    return all == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(all);
  };
  json figure = {{"searches", searches},
                 {"winners", winners},
                 {"violating", violating},
                 {"violating_percent", percent(violating, winners)},
                 {"refuted", refuted},
                 {"picks", picks},
                 {"picks_violating", bad_picks},
                 {"picks_violating_percent", percent(bad_picks, picks)},
                 {"worst_excess_percent", excess}};
  if (!lost.empty()) {
    figure["pick_lost_points"] = {{"mean", mean(lost)}, {"deviation", standard_deviation(lost)}};
  }
  return figure;
}

void print_row(const json& figure) {
  const auto count = [&](const char* key) {
    return static_cast<long long>(figure.at(key).get<int64_t>());
  };
  std::printf("| %s | %s | %s | %lld | %lld | %lld = %.2f %% | %lld of %lld = %.1f %% | %.1f %% |",
              figure.at("strategy").get<std::string>().c_str(),
              figure.at("bound").get<std::string>().c_str(),
              figure.at("rule").get<std::string>().c_str(), count("winners"), count("refuted"),
              count("violating"), figure.at("violating_percent").get<double>(),
              count("picks_violating"), count("picks"),
              figure.at("picks_violating_percent").get<double>(),
              figure.at("worst_excess_percent").get<double>());
  if (figure.contains("pick_lost_points")) {
    const json& lost = figure.at("pick_lost_points");
    std::printf(" %.2f ± %.2f |\n", lost.at("mean").get<double>(),
                lost.at("deviation").get<double>());
  } else {
    std::printf(" - |\n");
  }
}

/// The figures of every strategy, bound and rule, and of all bounds together; prints them.
json summarise(const Arguments& arguments, const json& runs) {
  std::vector<std::string> rules;
  for (const json& run : runs) {
    const auto rule = run.at("rule").get<std::string>();
    if (std::find(rules.begin(), rules.end(), rule) == rules.end()) rules.push_back(rule);
  }
  std::vector<std::optional<double>> bounds(arguments.bounds_ms.begin(), arguments.bounds_ms.end());
  bounds.emplace_back(std::nullopt);
  json figures = json::array();
  std::printf(
      "| strategy | bound | rule | winners | refuted | truly violating | most accurate one "
      "violates | worst excess | points it loses if it holds |\n|---|---|---|---|---|---|---|---|"
      "---|\n");
  for (const std::string& strategy : arguments.strategies) {
    for (const std::optional<double>& bound : bounds) {
      for (const std::string& rule : rules) {
        json figure = figure_of(runs, [&](const json& run) {
          return run.at("strategy") == strategy && run.at("rule") == rule &&
                 (!bound || run.at("bound_ms") == *bound);
        });
        char text[32] = "all";
        if (bound) std::snprintf(text, sizeof(text), "%g ms", *bound);
        figure["strategy"] = strategy;
        figure["bound"] = text;
        figure["rule"] = rule;
        print_row(figure);
        figures.push_back(std::move(figure));
      }
    }
  }
  return figures;
}

void run_all(Benchmark& benchmark, const Arguments& arguments) {
  json results = {{"noise", arguments.noise},
                  {"evaluations", arguments.evaluations},
                  {"chosen", kWinners},
                  {"runs", json::array()}};
  const search::Metric latency = search::parse_metric("latency@" + benchmark.latency().device());
  std::vector<double> best;
  for (int64_t seed = 1; seed <= arguments.seeds; ++seed) {
    const auto number = static_cast<uint64_t>(seed);
    search::ReplayOptions noisy = replay(arguments.table, kColumn, 1.0);
    noisy.noise = arguments.noise;
    search::ReplayLatency board(benchmark.space(), latency.device, noisy,
                                Rng(number).derive("board").seed());
    for (size_t b = 0; b < arguments.bounds_ms.size(); ++b) {
      const double bound_ms = arguments.bounds_ms[b];
      if (best.size() <= b) best.push_back(best_within(benchmark, board, bound_ms));
      for (const std::string& strategy : arguments.strategies) {
        Study study{benchmark, board, benchmark.options(strategy, arguments.evaluations), bound_ms,
                    number};
        study.options.problem.constraints = {{latency, true, bound_ms}};
        run_rules(arguments, study, best[b], results["runs"]);
      }
    }
    std::fprintf(stderr, "seed %lld of %lld\n", static_cast<long long>(seed),
                 static_cast<long long>(arguments.seeds));
    merge_results(arguments.out, {{"winners", results}});
  }
  results["figures"] = summarise(arguments, results["runs"]);
  merge_results(arguments.out, {{"winners", results}});
}

}  // namespace

int winners_main(int argc, char** argv) {
  CLI::App app{"Which share of the reported winners truly violates its latency bound"};
  Arguments arguments;
  add_table(app, arguments.table);
  add_out(app, arguments.out);
  app.add_option("--strategy", arguments.strategies, "which to run");
  app.add_option("--bound", arguments.bounds_ms, "on the Raspberry Pi 4's latency, in ms")
      ->check(CLI::Range(1.0, 75.0));
  app.add_option("--half-width", arguments.half_widths, "relative, of a confirmation")
      ->check(CLI::Range(1e-4, 0.01));
  app.add_option("--noise", arguments.noise, "relative, of one measurement in the search")
      ->check(CLI::Range(0.0, 0.5));
  add_seeds(app, arguments.seeds, 1, "searches a strategy and bound");
  add_evaluations(app, arguments.evaluations);
  return run_study(app, "winners", argc, argv, [&] {
    Benchmark benchmark(arguments.table);
    run_all(benchmark, arguments);
  });
}

}  // namespace lathe::study
