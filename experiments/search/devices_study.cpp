#include "experiments/search/devices_study.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/progress.h"
#include "core/statistics.h"
#include "experiments/search/study.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "search/archive/dominance.h"
#include "search/archive/hypervolume.h"
#include "search/strategy/controller.h"

namespace lathe::study {
namespace {

using nlohmann::json;
using search::SearchOutcome;

constexpr const char* kAccuracyColumn = "accuracy_cifar100";
constexpr double kReferenceAccuracy = 0.5;

struct Arguments : StudyArguments {
  /// Of each device's latencies. At these the best network of either device breaks the other's
  /// bound.
  std::vector<double> quantiles = {0.25, 0.6};
};

struct Device {
  const char* name;
  const char* column;
};
const std::vector<Device> kDevices = {{"raspi4", "raspi4_ms"}, {"pixel3", "pixel3_ms"}};

/// What the table says of one network.
struct Truth {
  double accuracy = 0.0;
  std::vector<double> ms;  ///< a device each
};

/// The table with both devices' boards, which measure exactly.
class Boards {
 public:
  explicit Boards(const std::string& table)
      : benchmark_(table), accuracy_(benchmark_.space(), replay(table, kAccuracyColumn, 0.01)) {
    for (const Device& device : kDevices) {
      boards_.push_back(std::make_unique<search::ReplayLatency>(
          benchmark_.space(), device.name, replay(table, device.column, 1.0), 0));
    }
  }
  Benchmark& benchmark() { return benchmark_; }
  search::LatencyEvaluator& board(size_t device) { return *boards_[device]; }
  Truth truth(const search::Architecture& architecture) const {
    Truth truth;
    truth.accuracy = 0.01 * accuracy_.table().find(architecture, kAccuracyColumn).value();
    for (size_t d = 0; d < boards_.size(); ++d) {
      truth.ms.push_back(boards_[d]->table().find(architecture, kDevices[d].column).value());
    }
    return truth;
  }
  std::vector<Truth> all() const {
    std::vector<Truth> truths;
    for (const auto& architecture : accuracy_.table().architectures()) {
      truths.push_back(truth(architecture));
    }
    return truths;
  }

 private:
  Benchmark benchmark_;
  search::ReplayAccuracy accuracy_;
  std::vector<std::unique_ptr<search::ReplayLatency>> boards_;
};

/// A latency bound for each device, and what is best within both.
struct Bounds {
  double quantile = 0.0;
  std::vector<double> ms;
  int64_t networks = 0;      ///< that meet both
  int64_t front = 0;         ///< of them
  double best = 0.0;         ///< accuracy
  double hypervolume = 0.0;  ///< of both latencies and the accuracy, up to the bounds and 50 %
  std::vector<Truth> alone;  ///< the most accurate network within each device's bound
};

bool meets(const Bounds& bounds, const Truth& truth) {
  for (size_t d = 0; d < truth.ms.size(); ++d) {
    if (truth.ms[d] > bounds.ms[d]) return false;
  }
  return true;
}

/// Accuracy and both latencies of those that meet both bounds, minimised; of these the front.
std::vector<search::Objectives> joint_front(const Bounds& bounds,
                                            const std::vector<Truth>& truths) {
  std::vector<search::Objectives> points;
  for (const Truth& truth : truths) {
    if (!meets(bounds, truth)) continue;
    points.push_back({1.0 - truth.accuracy});
    points.back().insert(points.back().end(), truth.ms.begin(), truth.ms.end());
  }
  std::vector<search::Objectives> front;
  for (const size_t i : search::non_dominated(points)) front.push_back(points[i]);
  return front;
}

double joint_hypervolume(const Bounds& bounds, const std::vector<search::Objectives>& front) {
  search::Objectives reference = {1.0 - kReferenceAccuracy};
  reference.insert(reference.end(), bounds.ms.begin(), bounds.ms.end());
  return search::hypervolume(front, reference);
}

/// The accuracy of the best that meets both bounds; 0 if none does.
double best_of(const Bounds& bounds, const std::vector<Truth>& truths) {
  double best = 0.0;
  for (const Truth& truth : truths) {
    if (meets(bounds, truth)) best = std::max(best, truth.accuracy);
  }
  return best;
}

Bounds bounds_at(double at, const std::vector<Truth>& truths) {
  Bounds bounds;
  bounds.quantile = at;
  for (size_t d = 0; d < kDevices.size(); ++d) {
    std::vector<double> ms;
    for (const Truth& truth : truths) ms.push_back(truth.ms[d]);
    bounds.ms.push_back(quantile(ms, at));
    Truth best;
    for (const Truth& truth : truths) {
      if (truth.ms[d] <= bounds.ms[d] && truth.accuracy > best.accuracy) best = truth;
    }
    bounds.alone.push_back(best);
  }
  const auto front = joint_front(bounds, truths);
  bounds.networks =
      std::count_if(truths.begin(), truths.end(), [&](const Truth& t) { return meets(bounds, t); });
  bounds.front = static_cast<int64_t>(front.size());
  bounds.best = best_of(bounds, truths);
  bounds.hypervolume = joint_hypervolume(bounds, front);
  return bounds;
}

/// The problem of somebody who knows these devices.
search::SearchOptions options_for(Boards& boards, const Arguments& arguments,
                                  const std::string& strategy, const Bounds& bounds,
                                  const std::vector<size_t>& known) {
  search::SearchOptions options = boards.benchmark().options(strategy, arguments.evaluations);
  const search::Metric accuracy = options.problem.objectives[0];
  options.problem.objectives = {accuracy};
  options.reference = {{accuracy, kReferenceAccuracy}};
  for (const size_t d : known) {
    const search::Metric latency = {search::MetricKind::Latency, kDevices[d].name};
    options.problem.objectives.push_back(latency);
    options.problem.constraints.push_back({latency, true, bounds.ms[d]});
    options.reference[latency] = bounds.ms[d];
  }
  return options;
}

std::vector<Truth> truths_of(const Boards& boards, const SearchOutcome& outcome,
                             const std::vector<size_t>& indices) {
  std::vector<Truth> truths;
  for (const size_t i : indices) {
    truths.push_back(boards.truth(outcome.evaluated[i].candidate.architecture));
  }
  return truths;
}

json run_search(Boards& boards, const Arguments& arguments, const std::string& strategy,
                const Bounds& bounds, const std::vector<size_t>& known, uint64_t seed) {
  const search::SearchOptions options = options_for(boards, arguments, strategy, bounds, known);
  std::vector<search::LatencyEvaluator*> devices;
  for (const size_t d : known) devices.push_back(&boards.board(d));
  search::Journal journal(":memory:");
  search::SearchController controller(boards.benchmark().space(), boards.benchmark().accuracy(),
                                      devices, options, journal, seed);
  const SearchOutcome outcome = controller.run(no_progress(), [] { return false; });

  std::vector<size_t> everything;
  for (size_t i = 0; i < outcome.evaluated.size(); ++i) everything.push_back(i);
  const auto evaluated = truths_of(boards, outcome, everything);
  const auto front = truths_of(boards, outcome, outcome.front);
  const auto winners =
      truths_of(boards, outcome, choose_winners(outcome.evaluated, options.problem, {}));
  const auto breaking = std::count_if(winners.begin(), winners.end(),
                                      [&](const Truth& t) { return !meets(bounds, t); });
  json run = {{"strategy", strategy},
              {"quantile", bounds.quantile},
              {"knows", known.size() > 1 ? "both" : kDevices[known[0]].name},
              {"seed", seed},
              {"winners", winners.size()},
              {"breaking", breaking},
              {"best_breaks", !winners.empty() && !meets(bounds, winners[0])},
              {"hypervolume_percent",
               100.0 * joint_hypervolume(bounds, joint_front(bounds, front)) / bounds.hypervolume}};
  const double of_front = best_of(bounds, front);
  const double of_all = best_of(bounds, evaluated);
  if (of_front > 0.0) run["lost_points_front"] = 100.0 * (bounds.best - of_front);
  if (of_all > 0.0) run["lost_points_evaluated"] = 100.0 * (bounds.best - of_all);
  return run;
}

json figure_of(const std::vector<json>& runs) {
  int64_t winners = 0, breaking = 0, best_breaks = 0;
  for (const json& run : runs) {
    winners += run.at("winners").get<int64_t>();
    breaking += run.at("breaking").get<int64_t>();
    best_breaks += run.at("best_breaks").get<bool>() ? 1 : 0;
  }
  json figure = {{"strategy", runs[0].at("strategy")},
                 {"quantile", runs[0].at("quantile")},
                 {"knows", runs[0].at("knows")},
                 {"searches", runs.size()},
                 {"winners", winners},
                 {"breaking", breaking},
                 {"best_breaks", best_breaks}};
  for (const char* key : {"hypervolume_percent", "lost_points_front", "lost_points_evaluated"}) {
    std::vector<double> values;
    for (const json& run : runs) {
      if (run.contains(key)) values.push_back(run.at(key).get<double>());
    }
    figure[key] = {{"searches", values.size()}};
    if (values.empty()) continue;
    figure[key]["mean"] = mean(values);
    figure[key]["deviation"] = standard_deviation(values);
  }
  return figure;
}

void print_row(const Bounds& bounds, const json& figure) {
  const auto count = [&](const char* key) {
    return static_cast<long long>(figure.at(key).get<int64_t>());
  };
  std::printf("| %.1f, %.1f ms | %s | %s | %lld of %lld = %.1f %% | %lld of %lld |", bounds.ms[0],
              bounds.ms[1], figure.at("strategy").get<std::string>().c_str(),
              figure.at("knows").get<std::string>().c_str(), count("breaking"), count("winners"),
              100.0 * static_cast<double>(count("breaking")) /
                  static_cast<double>(std::max(count("winners"), 1LL)),
              count("best_breaks"), count("searches"));
  for (const char* key : {"hypervolume_percent", "lost_points_front", "lost_points_evaluated"}) {
    const json& of = figure.at(key);
    if (!of.contains("mean")) {
      std::printf(" - |");
      continue;
    }
    std::printf(" %.2f ± %.2f", of.at("mean").get<double>(), of.at("deviation").get<double>());
    if (of.at("searches") != figure.at("searches")) {
      std::printf(" (%lld searches)", static_cast<long long>(of.at("searches").get<int64_t>()));
    }
    std::printf(" |");
  }
  std::printf("\n");
  std::fflush(stdout);
}

json describe(const Bounds& bounds) {
  json alone = json::object();
  std::printf(
      "bounds %.2f and %.2f ms (quantile %g): %lld networks meet both, front %lld, best "
      "%.2f %%",
      bounds.ms[0], bounds.ms[1], bounds.quantile, static_cast<long long>(bounds.networks),
      static_cast<long long>(bounds.front), 100.0 * bounds.best);
  for (size_t d = 0; d < kDevices.size(); ++d) {
    const Truth& best = bounds.alone[d];
    alone[kDevices[d].name] = {{"accuracy", best.accuracy}, {"ms", best.ms}};
    std::printf("; best for %s alone %.2f %% at %.1f and %.1f ms", kDevices[d].name,
                100.0 * best.accuracy, best.ms[0], best.ms[1]);
  }
  std::printf("\n");
  return {{"quantile", bounds.quantile}, {"bounds_ms", bounds.ms}, {"networks", bounds.networks},
          {"front", bounds.front},       {"best", bounds.best},    {"best_alone", alone}};
}

void run_all(Boards& boards, const Arguments& arguments) {
  json results = {{"evaluations", arguments.evaluations},
                  {"chosen", kWinners},
                  {"bounds", json::array()},
                  {"figures", json::array()},
                  {"runs", json::array()}};
  std::vector<Bounds> all_bounds;
  const std::vector<Truth> truths = boards.all();
  for (const double at : arguments.quantiles) {
    all_bounds.push_back(bounds_at(at, truths));
    results["bounds"].push_back(describe(all_bounds.back()));
  }
  std::printf(
      "\n| bounds | strategy | knows | winners that break a bound | most accurate one does | joint "
      "hypervolume %% | points lost by the best of its front that meets both | of all it evaluated "
      "|\n|---|---|---|---|---|---|---|---|\n");
  for (const Bounds& bounds : all_bounds) {
    for (const std::string& strategy : arguments.strategies) {
      for (const std::vector<size_t>& known : {std::vector<size_t>{0, 1}, {0}, {1}}) {
        std::vector<json> runs;
        for (int64_t seed = 1; seed <= arguments.seeds; ++seed) {
          runs.push_back(
              run_search(boards, arguments, strategy, bounds, known, static_cast<uint64_t>(seed)));
          results["runs"].push_back(runs.back());
        }
        results["figures"].push_back(figure_of(runs));
        print_row(bounds, results["figures"].back());
        merge_results(arguments.out, {{"devices", results}});
      }
    }
  }
}

}  // namespace

int devices_main(int argc, char** argv) {
  CLI::App app{"Searching for two devices at once, and for one of them alone"};
  Arguments arguments;
  add_table(app, arguments.table);
  add_out(app, arguments.out);
  app.add_option("--strategy", arguments.strategies, "which to run");
  app.add_option("--quantile", arguments.quantiles, "of each device's latencies, as its bound")
      ->check(CLI::Range(0.02, 1.0));
  add_seeds(app, arguments.seeds, 1, "searches a row of the table");
  add_evaluations(app, arguments.evaluations);
  return run_study(app, "devices", argc, argv, [&] {
    Boards boards(arguments.table);
    run_all(boards, arguments);
  });
}

}  // namespace lathe::study
