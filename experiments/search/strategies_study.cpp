#include "experiments/search/strategies_study.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/statistics.h"
#include "experiments/search/study.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"

namespace lathe::study {
namespace {

using nlohmann::json;
using Runs = std::map<std::string, std::vector<Run>>;

const std::vector<int64_t> kCheckpoints = {200, 400, 800};
const std::vector<std::string> kStrategies = {"surrogate", "nsga2", "aging_evolution", "random"};

struct Arguments : StudyArguments {
  bool add = false;
};

json to_json(const Run& run) {
  json percent = json::object();
  for (const auto& [evaluations, value] : run.percent) percent[std::to_string(evaluations)] = value;
  return {{"seed", run.seed},
          {"evaluations", run.evaluations},
          {"percent", percent},
          {"seconds", run.seconds}};
}

Run run_from(const json& from) {
  Run run;
  run.seed = from.at("seed").get<uint64_t>();
  run.evaluations = from.at("evaluations").get<int64_t>();
  run.seconds = from.at("seconds").get<double>();
  for (const auto& [evaluations, value] : from.at("percent").items()) {
    run.percent[std::stoll(evaluations)] = value.get<double>();
  }
  return run;
}

json to_json(const Runs& runs, const Benchmark& benchmark) {
  json results;
  results["benchmark"] = {{"table_sha256", benchmark.table_digest()},
                          {"networks", benchmark.networks()},
                          {"front", benchmark.front_size()}};
  results["replay"] = json::object();
  for (const auto& [strategy, of_strategy] : runs) {
    json entry = {{"figures", json::object()}, {"runs", json::array()}};
    for (const Run& run : of_strategy) entry["runs"].push_back(to_json(run));
    for (const int64_t checkpoint : kCheckpoints) {
      const Figure figure = figure_at(of_strategy, checkpoint);
      if (figure.seeds == 0) continue;
      entry["figures"][std::to_string(checkpoint)] = {
          {"mean", figure.mean}, {"deviation", figure.deviation}, {"seeds", figure.seeds}};
    }
    results["replay"][strategy] = entry;
  }
  return results;
}

/// Returns the runs of an earlier call over the same table; none without a file or
/// before the first call.
Runs read_runs(const std::string& path, const Benchmark& benchmark) {
  Runs runs;
  const json all = read_results(path);
  if (all.count("strategies") == 0) return runs;
  try {
    const json& results = all.at("strategies");
    if (results.at("benchmark").at("table_sha256") != benchmark.table_digest()) {
      throw DataError(path + ": its runs are of another table; run without --add");
    }
    for (const auto& [strategy, entry] : results.at("replay").items()) {
      for (const json& run : entry.at("runs")) runs[strategy].push_back(run_from(run));
    }
  } catch (const json::exception& error) {
    throw DataError(path + ": not the results of this study: " + error.what());
  }
  return runs;
}

std::vector<Run>::iterator find_seed(std::vector<Run>& runs, uint64_t seed) {
  return std::find_if(runs.begin(), runs.end(), [&](const Run& run) { return run.seed == seed; });
}

/// Runs every seed that `runs` does not have at this length yet; saves after each.
void run_all(const Arguments& arguments, Benchmark& benchmark, Runs& runs) {
  for (int64_t seed = 1; seed <= arguments.seeds; ++seed) {
    for (const std::string& strategy : arguments.strategies) {
      std::vector<Run>& of_strategy = runs[strategy];
      const auto number = static_cast<uint64_t>(seed);
      auto found = find_seed(of_strategy, number);
      if (found != of_strategy.end() && found->evaluations >= arguments.evaluations) continue;
      const Run run = run_search(benchmark, strategy, number, arguments.evaluations, kCheckpoints);
      if (found == of_strategy.end()) {
        of_strategy.push_back(run);
      } else {
        *found = run;
      }
      std::printf("%-10s seed %2lld:", strategy.c_str(), static_cast<long long>(seed));
      for (const auto& [evaluations, percent] : run.percent) {
        std::printf("  %lld: %.2f", static_cast<long long>(evaluations), percent);
      }
      std::printf("  (%.1f s)\n", run.seconds);
      std::fflush(stdout);
      merge_results(arguments.out, {{"strategies", to_json(runs, benchmark)}});
    }
  }
}

void print_table(const Runs& runs) {
  std::printf("\n| strategy |");
  for (const int64_t checkpoint : kCheckpoints)
    std::printf(" %lld |", static_cast<long long>(checkpoint));
  std::printf(" one search, median |\n|---|---|---|---|---|\n");
  for (const std::string& strategy : kStrategies) {
    const auto found = runs.find(strategy);
    if (found == runs.end() || found->second.empty()) continue;
    std::printf("| %s |", strategy.c_str());
    for (const int64_t checkpoint : kCheckpoints) {
      const Figure figure = figure_at(found->second, checkpoint);
      if (figure.seeds == 0) {
        std::printf(" - |");
      } else {
        std::printf(" %.2f ± %.2f (%lld seeds) |", figure.mean, figure.deviation,
                    static_cast<long long>(figure.seeds));
      }
    }
    std::vector<double> seconds;
    for (const Run& run : found->second) seconds.push_back(run.seconds);
    std::printf(" %.1f s |\n", median(seconds));
  }
}

}  // namespace

int strategies_main(int argc, char** argv) {
  CLI::App app{"Searches NAS-Bench-201 from its table and says how near the true front they come"};
  Arguments arguments;
  arguments.strategies = kStrategies;
  arguments.evaluations = kCheckpoints.back();
  add_table(app, arguments.table);
  add_out(app, arguments.out);
  app.add_option("--strategy", arguments.strategies, "which to run; default: all")
      ->check(CLI::IsMember(kStrategies));
  add_seeds(app, arguments.seeds, 1, "searches a strategy");
  add_evaluations(app, arguments.evaluations);
  app.add_flag("--add", arguments.add, "keep the runs of the file --out, run what it lacks");
  return run_study(app, "strategies", argc, argv, [&] {
    Benchmark benchmark(arguments.table);
    Runs runs;
    if (arguments.add) runs = read_runs(arguments.out, benchmark);
    run_all(arguments, benchmark, runs);
    print_table(runs);
  });
}

}  // namespace lathe::study
