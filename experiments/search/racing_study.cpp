#include "experiments/search/racing_study.h"

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "core/progress.h"
#include "core/statistics.h"
#include "experiments/search/sampled_evaluators.h"
#include "experiments/search/study.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "search/archive/hypervolume.h"
#include "search/strategy/controller.h"

namespace lathe::study {
namespace {

using nlohmann::json;
using search::SearchOutcome;

struct Arguments : StudyArguments {
  int64_t kills = 20;
  double half_width = BoardModel().half_width;
};

/// A search problem of one seed: its validation split and its board.
struct Trials {
  Trials(Benchmark& benchmark, const Arguments& arguments, uint64_t seed)
      : accuracy(benchmark.accuracy(), Rng(seed).derive("images").seed()),
        latency(benchmark.latency(), model_of(arguments), Rng(seed).derive("board").seed()) {}
  static BoardModel model_of(const Arguments& arguments) {
    BoardModel model;
    // Blocks as noisy as it takes for a measurement of 150 of them to be that wide.
    model.block_noise *= arguments.half_width / model.half_width;
    model.half_width = arguments.half_width;
    return model;
  }
  SampledAccuracy accuracy;
  SampledLatency latency;
};

SearchOutcome search_once(Benchmark& benchmark, Trials& trials,
                          const search::SearchOptions& options,
                          const std::filesystem::path& journal_path, uint64_t seed) {
  search::Journal journal(journal_path);
  search::SearchController controller(benchmark.space(), trials.accuracy, {&trials.latency},
                                      options, journal, seed);
  return controller.run(no_progress(), [] { return false; });
}

std::vector<search::Architecture> front_of(const SearchOutcome& outcome) {
  std::vector<search::Architecture> front;
  for (const size_t index : outcome.front) {
    front.push_back(outcome.evaluated[index].candidate.architecture);
  }
  return front;
}

/// The recorded hypervolume, with the values that the screened candidates would have got if
/// `complete`.
double recorded_hypervolume(Trials& trials, const SearchOutcome& outcome,
                            const search::Problem& problem, bool complete) {
  std::vector<search::Objectives> points;
  for (const search::Evaluated& evaluated : outcome.evaluated) {
    search::Metrics metrics = evaluated.metrics;
    if (evaluated.screened) {
      if (!complete) continue;
      const auto accuracy = trials.accuracy.evaluate({evaluated.candidate}, no_progress());
      const auto latency =
          trials.latency.measure(evaluated.candidate, trials.latency.default_plan()).get();
      metrics[problem.objectives[0]] = search::accuracy_value(accuracy[0].value());
      metrics[problem.objectives[1]] = search::latency_value(latency.value());
    }
    points.push_back(problem.minimised(metrics));
  }
  return search::hypervolume(points, outcome.reference);
}

json run_pair(Benchmark& benchmark, const Arguments& arguments, const std::string& strategy,
              uint64_t seed) {
  Trials trials(benchmark, arguments, seed);
  search::SearchOptions options = benchmark.options(strategy, arguments.evaluations);
  options.accuracy_batch = 10;
  options.racing = false;
  const SearchOutcome whole = search_once(benchmark, trials, options, ":memory:", seed);
  options.racing = true;
  const SearchOutcome raced = search_once(benchmark, trials, options, ":memory:", seed);
  const double seen = recorded_hypervolume(trials, raced, options.problem, false);
  const double all = recorded_hypervolume(trials, raced, options.problem, true);
  const auto images = static_cast<double>(whole.racing.images);
  return {
      {"strategy", strategy},
      {"seed", seed},
      {"screened", raced.racing.screened},
      {"images_saved_percent", 100.0 * (1.0 - static_cast<double>(raced.racing.images) / images)},
      {"board_saved_percent", 100.0 * (1.0 - raced.board_time_s / whole.board_time_s)},
      {"board_saved_estimate_percent", 100.0 * raced.racing.board_time_saved_s /
                                           (raced.board_time_s + raced.racing.board_time_saved_s)},
      {"front_lost_percent", 100.0 * (1.0 - seen / all)},
      {"true_percent_whole", benchmark.quality(front_of(whole))},
      {"true_percent_raced", benchmark.quality(front_of(raced))}};
}

Figure figure_of(const json& runs, const std::string& strategy, const char* key) {
  std::vector<double> values;
  for (const json& run : runs) {
    if (run.at("strategy") == strategy) values.push_back(run.at(key).get<double>());
  }
  return {mean(values), standard_deviation(values), static_cast<int64_t>(values.size())};
}

json summarise(const json& runs, const std::string& strategy) {
  json summary = {{"strategy", strategy}};
  for (const char* key :
       {"screened", "images_saved_percent", "board_saved_percent", "board_saved_estimate_percent",
        "front_lost_percent", "true_percent_whole", "true_percent_raced"}) {
    const Figure figure = figure_of(runs, strategy, key);
    summary[key] = {{"mean", figure.mean}, {"deviation", figure.deviation}};
    std::printf("%-10s %-29s %9.4f ± %.4f\n", strategy.c_str(), key, figure.mean, figure.deviation);
  }
  return summary;
}

/// What a search found, as text: all values and the front.
std::string fingerprint(const SearchOutcome& outcome) {
  std::string text;
  for (const search::Evaluated& evaluated : outcome.evaluated) {
    text += evaluated.candidate.architecture.to_string() + (evaluated.screened ? " screened" : "");
    for (const auto& [metric, value] : evaluated.metrics) text += " " + std::to_string(value.value);
    text += "\n";
  }
  for (const size_t index : outcome.front) text += " " + std::to_string(index);
  return text;
}

/// Runs the search in a process of its own and kills it after `wait_s`, unless it ends before.
/// Returns whether it ended.
bool run_and_kill(Benchmark& benchmark, Trials& trials, const search::SearchOptions& options,
                  const std::filesystem::path& journal, uint64_t seed, double wait_s) {
  const pid_t child = fork();
  if (child < 0) throw DataError("racing study: fork failed");
  if (child == 0) {
    try {
      search_once(benchmark, trials, options, journal, seed);
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
  kill(child, SIGKILL);
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw DataError("racing study: waitpid failed");
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    throw DataError("racing study: a search failed");
  return WIFEXITED(status);
}

/// Kills one search `arguments.kills` times at random moments and compares its outcome with an
/// uninterrupted one's; begins another search when one ends before.
json run_kills(Benchmark& benchmark, const Arguments& arguments, const std::string& strategy) {
  const std::filesystem::path path =
      std::filesystem::absolute(arguments.out).parent_path() / "racing_study.sqlite";
  Rng rng(1);
  int64_t kills = 0;
  int64_t searches = 0;
  int64_t identical = 0;
  while (kills < arguments.kills) {
    const auto seed = static_cast<uint64_t>(++searches);
    Trials trials(benchmark, arguments, seed);
    const search::SearchOptions options = benchmark.options(strategy, arguments.evaluations);
    const SearchOutcome expected = search_once(benchmark, trials, options, ":memory:", seed);
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + end);
    while (kills < arguments.kills &&
           !run_and_kill(benchmark, trials, options, path, seed,
                         rng.uniform(0.0, 0.5 * expected.seconds + 0.05))) {
      ++kills;
    }
    const SearchOutcome resumed = search_once(benchmark, trials, options, path, seed);
    if (fingerprint(resumed) == fingerprint(expected)) ++identical;
  }
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + end);
  std::printf("%-10s %lld kills in %lld searches, %lld of them end as uninterrupted ones\n",
              strategy.c_str(), static_cast<long long>(kills), static_cast<long long>(searches),
              static_cast<long long>(identical));
  return {
      {"strategy", strategy}, {"kills", kills}, {"searches", searches}, {"identical", identical}};
}

json run_all(Benchmark& benchmark, const Arguments& arguments) {
  json results = {{"evaluations", arguments.evaluations},
                  {"images", SampledAccuracy::kImages},
                  {"half_width", arguments.half_width},
                  {"runs", json::array()},
                  {"figures", json::array()},
                  {"kills", json::array()}};
  for (const std::string& strategy : arguments.strategies) {
    if (arguments.kills > 0) {
      results["kills"].push_back(run_kills(benchmark, arguments, strategy));
    }
    for (int64_t seed = 1; seed <= arguments.seeds; ++seed) {
      results["runs"].push_back(
          run_pair(benchmark, arguments, strategy, static_cast<uint64_t>(seed)));
    }
    results["figures"].push_back(summarise(results["runs"], strategy));
    merge_results(arguments.out, {{"racing", results}});
  }
  return results;
}

}  // namespace

int racing_main(int argc, char** argv) {
  CLI::App app{"What racing saves on NAS-Bench-201, and that it finds the same front"};
  Arguments arguments;
  add_table(app, arguments.table);
  add_out(app, arguments.out);
  app.add_option("--strategy", arguments.strategies, "which to run");
  add_seeds(app, arguments.seeds, 2, "pairs of searches a strategy");
  add_evaluations(app, arguments.evaluations);
  app.add_option("--kills", arguments.kills, "with SIGKILL, a strategy")
      ->check(CLI::Range(0, 10000));
  app.add_option("--half-width", arguments.half_width, "relative, of a full measurement")
      ->check(CLI::Range(0.001, 0.2));
  return run_study(app, "racing", argc, argv, [&] {
    Benchmark benchmark(arguments.table);
    run_all(benchmark, arguments);
  });
}

}  // namespace lathe::study
