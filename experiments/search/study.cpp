#include "experiments/search/study.h"

#include <utility>

#include "cli/pipeline/front_selection.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "search/archive/dominance.h"
#include "search/archive/hypervolume.h"
#include "search/archive/journal.h"
#include "search/archive/pareto_archive.h"
#include "search/strategy/controller.h"

namespace lathe::study {
namespace {

constexpr const char* kDevice = "raspi4";
constexpr const char* kAccuracyColumn = "accuracy_cifar100";
constexpr const char* kLatencyColumn = "raspi4_ms";
constexpr double kReferenceAccuracy = 0.5;
constexpr double kReferenceMs = 75.0;
const search::Objectives kReference = {1.0 - kReferenceAccuracy, kReferenceMs};

}  // namespace

search::ReplayOptions replay(const std::filesystem::path& table, const std::string& column,
                             double scale) {
  search::ReplayOptions options;
  options.table = table;
  options.key = "arch_str";
  options.column = column;
  options.scale = scale;
  return options;
}

Benchmark::Benchmark(const std::filesystem::path& table)
    : space_(search::CellSpec{}),
      table_digest_(sha256_hex(read_file(table))),
      accuracy_(space_, replay(table, kAccuracyColumn, 0.01)),
      latency_(space_, kDevice, replay(table, kLatencyColumn, 1.0), 0),
      best_(search::hypervolume(true_points(accuracy_.table().architectures()), kReference)) {}

std::vector<search::Objectives> Benchmark::true_points(
    const std::vector<search::Architecture>& architectures) const {
  std::vector<search::Objectives> points;
  for (const search::Architecture& architecture : architectures) {
    const double percent = accuracy_.table().find(architecture, kAccuracyColumn).value();
    const double ms = latency_.table().find(architecture, kLatencyColumn).value();
    points.push_back({1.0 - 0.01 * percent, ms});
  }
  return points;
}

search::SearchOptions Benchmark::options(const std::string& strategy, int64_t evaluations) const {
  const search::Metric accuracy = search::parse_metric("accuracy");
  const search::Metric latency = search::parse_metric(std::string("latency@") + kDevice);
  search::SearchOptions options;
  options.problem.objectives = {accuracy, latency};
  options.strategy.name = strategy;
  options.strategy.population = search::default_population(strategy);
  options.strategy.seed_extremes = false;
  options.budget.evaluations = evaluations;
  options.reference = {{accuracy, kReferenceAccuracy}, {latency, kReferenceMs}};
  options.accuracy_batch = 1000;
  options.racing = false;  // the strategies alone; racing_study.cpp compares
  return options;
}

double Benchmark::quality(const std::vector<search::Architecture>& architectures) const {
  return 100.0 * search::hypervolume(true_points(architectures), kReference) / best_;
}

int64_t Benchmark::networks() const {
  return static_cast<int64_t>(accuracy_.table().architectures().size());
}

int64_t Benchmark::front_size() const {
  const auto points = true_points(accuracy_.table().architectures());
  return static_cast<int64_t>(search::non_dominated(points).size());
}

Run run_search(Benchmark& benchmark, const std::string& strategy, uint64_t seed,
               int64_t evaluations, const std::vector<int64_t>& checkpoints) {
  search::Journal journal(":memory:");
  search::SearchController controller(benchmark.space(), benchmark.accuracy(),
                                      {&benchmark.latency()},
                                      benchmark.options(strategy, evaluations), journal, seed);
  const search::SearchOutcome outcome = controller.run(no_progress(), [] { return false; });
  Run run;
  run.seed = seed;
  run.evaluations = static_cast<int64_t>(outcome.evaluated.size());
  run.seconds = outcome.seconds;
  std::vector<search::Architecture> seen;
  std::set<std::string> distinct;
  for (const search::Evaluated& evaluated : outcome.evaluated) {
    const search::Architecture& architecture = evaluated.candidate.architecture;
    const std::string text = architecture.to_string();
    const std::string where = strategy + ", seed " + std::to_string(seed) + ": " + text;
    if (!evaluated.ok()) throw InvariantError(where + " failed: " + evaluated.failure->message);
    if (!distinct.insert(benchmark.space().canonical(architecture).to_string()).second) {
      throw InvariantError(where + " was evaluated twice, expected every network once");
    }
    seen.push_back(architecture);
    for (const int64_t checkpoint : checkpoints) {
      if (checkpoint != static_cast<int64_t>(seen.size())) continue;
      run.percent[checkpoint] = benchmark.quality(seen);
    }
  }
  return run;
}

std::vector<size_t> choose_winners(const std::vector<search::Evaluated>& evaluated,
                                   const search::Problem& problem,
                                   const std::set<size_t>& refuted) {
  search::ParetoArchive front(problem.objectives.size());
  for (size_t i = 0; i < evaluated.size(); ++i) {
    const search::Evaluated& each = evaluated[i];
    if (!each.ok() || each.screened || refuted.count(i) > 0) continue;
    if (problem.violation(each.metrics) > 0.0) continue;
    front.insert(static_cast<int64_t>(i), problem.minimised(each.metrics));
  }
  const std::vector<int64_t> ids = front.ids();
  std::vector<cli::FrontPoint> points;
  for (const int64_t id : ids) {
    const search::Metrics& metrics = evaluated[static_cast<size_t>(id)].metrics;
    points.push_back(
        {metrics.at(problem.objectives[0]).value, metrics.at(problem.objectives[1]).value});
  }
  std::vector<size_t> winners;
  for (const size_t place : cli::select_spread(points, kWinners)) {
    winners.push_back(static_cast<size_t>(ids[place]));
  }
  return winners;
}

Figure figure_at(const std::vector<Run>& runs, int64_t evaluations) {
  std::vector<double> values;
  for (const Run& run : runs) {
    const auto found = run.percent.find(evaluations);
    if (found != run.percent.end()) values.push_back(found->second);
  }
  if (values.empty()) return {};
  return {mean(values), values.size() > 1 ? standard_deviation(values) : 0.0,
          static_cast<int64_t>(values.size())};
}

}  // namespace lathe::study
