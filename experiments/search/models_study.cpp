#include "experiments/search/models_study.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "latency/models/additive_table.h"
#include "latency/models/model_selector.h"
#include "search/evaluation/candidate.h"
#include "search/evaluation/replay.h"
#include "search/space/cell_space.h"
#include "search/strategy/learned_metrics.h"

namespace lathe::study {
namespace {

using nlohmann::json;
using search::Architecture;

constexpr const char* kAccuracy = "accuracy_cifar100";
constexpr const char* kLatency = "raspi4_ms";
const std::vector<ModelTask> kTasks = {ModelTask::Latency, ModelTask::LatencyOfClass,
                                       ModelTask::Accuracy};
const std::vector<int64_t> kLabels = {50, 100, 200};
constexpr size_t kNearNoise = 200;

/// Cells as a file spells them: every spelling is an architecture of its own.
class SpelledCells : public search::CellSpace {
 public:
  using CellSpace::CellSpace;
  Architecture canonical(const Architecture& architecture) const override { return architecture; }
};

/// One row of the table.
struct Row {
  Architecture written;
  Architecture canonical;
  double ms = 0.0;
  double error = 0.0;
};

/// Which nodes of a cell operations lead to from its input.
std::vector<bool> reached_nodes(const search::CellSpace& space, const Architecture& architecture) {
  const auto& options = space.genes()[0].options;
  const auto none =
      static_cast<size_t>(std::find(options.begin(), options.end(), "none") - options.begin());
  std::vector<bool> reached = {true};
  for (size_t gene = 0; gene < architecture.genes.size();) {
    bool any = false;
    for (size_t from = 0, nodes = reached.size(); from < nodes; ++from, ++gene) {
      any = any || (reached[from] && architecture.genes[gene] != none);
    }
    reached.push_back(any);
  }
  return reached;
}

/// True if the cell has no operation without effect: those are partly run, partly removed by the
/// converter, so that cells that differ in them alone cannot be taken for equal.
bool all_effective(const search::CellSpace& space, const Architecture& architecture) {
  const std::vector<bool> reached = reached_nodes(space, architecture);
  const std::vector<int64_t> work = space.work(architecture);
  int64_t operations = 0;
  for (const uint16_t gene : architecture.genes) {
    operations += space.genes()[0].options[gene] != "none" ? 1 : 0;
  }
  return std::count(reached.begin(), reached.end(), false) == 0 &&
         std::accumulate(work.begin(), work.end() - 1, int64_t{0}) == operations;
}

json to_json(const models::ModelReport& report) {
  return {{"mape", report.mape},
          {"spearman", report.spearman},
          {"kendall", report.kendall},
          {"coverage", report.coverage},
          {"explained", report.explained}};
}

/// Draws from the noise that was seen at about this latency: relatively small networks vary more.
double noise_near(const std::vector<std::pair<double, double>>& noise, double latency, Rng& rng) {
  const size_t near = std::min(kNearNoise, noise.size());
  const auto found = std::lower_bound(noise.begin(), noise.end(), std::make_pair(latency, -1e300));
  const auto position = static_cast<size_t>(found - noise.begin());
  const size_t first = std::min(noise.size() - near, position - std::min(position, near / 2));
  return noise[first + static_cast<size_t>(rng.below(near))].second;
}

}  // namespace

std::string to_string(ModelTask task) {
  switch (task) {
    case ModelTask::Latency:
      return "latency@raspi4, the cell as measured";
    case ModelTask::LatencyOfClass:
      return "latency@raspi4, the canonical cell";
    case ModelTask::Accuracy:
      return "error on CIFAR-100";
  }
  throw InvariantError("to_string: unknown ModelTask");
}

struct ModelsStudy::Data {
  search::CellSpace space{search::CellSpec{}};
  SpelledCells spelled{search::CellSpec{}};
  std::vector<Row> rows;         ///< of the table, those that depend on their input
  std::vector<size_t> networks;  ///< the first row of every class
  int64_t left_out = 0;

  /// How labels of equal graphs differ from their mean, in logarithms, each with that mean; sorted.
  /// Tells `floor` the variation.
  std::vector<std::pair<double, double>> noise(NoiseFloor& floor) const;

  models::Features features(const Row& row, ModelTask task) const {
    if (task == ModelTask::Latency) {
      return model_features(spelled, make_candidate(spelled, row.written, 0));
    }
    return model_features(space, make_candidate(space, row.canonical, 0));
  }
};

ModelsStudy::ModelsStudy(const std::filesystem::path& table) : data_(std::make_unique<Data>()) {
  const search::ReplayTable file(table, data_->spelled, "arch_str", {kAccuracy, kLatency});
  std::set<Architecture> classes;
  for (const Architecture& written : file.architectures()) {
    Row row{written, data_->space.canonical(written), file.find(written, kLatency).value(),
            1.0 - 0.01 * file.find(written, kAccuracy).value()};
    const bool first = classes.insert(row.canonical).second;
    if (!reached_nodes(data_->space, written).back()) {
      data_->left_out += first ? 1 : 0;
      continue;
    }
    if (first) data_->networks.push_back(data_->rows.size());
    data_->rows.push_back(std::move(row));
  }
}

ModelsStudy::~ModelsStudy() = default;

int64_t ModelsStudy::networks() const { return static_cast<int64_t>(data_->networks.size()); }
int64_t ModelsStudy::left_out() const { return data_->left_out; }

std::vector<ModelRun> ModelsStudy::run(ModelTask task, int64_t labels, uint64_t seed) const {
  std::vector<size_t> order = data_->networks;
  Rng(seed).derive("labels").shuffle(order);
  std::vector<models::Features> training;
  std::vector<models::Features> test;
  std::vector<double> known;
  std::vector<double> unknown;
  for (size_t i = 0; i < order.size(); ++i) {
    const Row& row = data_->rows[order[i]];
    const bool is_training = static_cast<int64_t>(i) < labels;
    (is_training ? training : test).push_back(data_->features(row, task));
    const double value = task == ModelTask::Accuracy ? row.error : row.ms;
    (is_training ? known : unknown).push_back(std::log(value));
  }
  std::vector<std::unique_ptr<models::Regressor>> all = models::make_models();
  all.push_back(std::make_unique<models::ModelSelector>());
  std::vector<ModelRun> runs;
  for (const auto& model : all) {
    ModelRun run{to_string(task), model->name(), labels, seed, {}, {}, 0.0};
    const auto begin = std::chrono::steady_clock::now();
    model->fit(training, known);
    run.fit_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    run.held_out = models::assess(run.model, model->held_out().predictions, known);
    run.test = models::assess(run.model, model->predict(test), unknown);
    runs.push_back(std::move(run));
  }
  return runs;
}

std::vector<std::pair<double, double>> ModelsStudy::Data::noise(NoiseFloor& floor) const {
  // Rows that run the same graph: one class, and the same operations.
  std::map<std::pair<Architecture, std::vector<int64_t>>, std::vector<double>> equals;
  for (const Row& row : rows) {
    if (!all_effective(space, row.written)) continue;
    equals[{row.canonical, space.work(row.written)}].push_back(row.ms);
  }
  std::vector<double> variations;
  std::vector<std::pair<double, double>> noise;  // with the latency where it was seen
  for (const auto& [graph, values] : equals) {
    if (values.size() < 2) continue;
    ++floor.graphs;
    variations.push_back(standard_deviation(values) / mean(values));
    const auto n = static_cast<double>(values.size());
    double middle = 0.0;
    for (const double value : values) middle += std::log(value) / n;
    // Their own mean follows the labels: hence the factor.
    for (const double value : values) {
      noise.emplace_back(middle, (std::log(value) - middle) * std::sqrt(n / (n - 1.0)));
    }
  }
  std::sort(noise.begin(), noise.end());
  floor.median_variation = median(variations);
  floor.mean_variation = mean(variations);
  return noise;
}

NoiseFloor ModelsStudy::noise_floor() const {
  NoiseFloor floor;
  const std::vector<std::pair<double, double>> noise = data_->noise(floor);
  std::vector<models::Features> samples;
  std::vector<double> labels;
  for (const size_t i : data_->networks) {
    samples.push_back(data_->features(data_->rows[i], ModelTask::Latency));
    labels.push_back(std::log(data_->rows[i].ms));
  }
  models::AdditiveTable::Options options;
  options.most_samples = samples.size();
  models::AdditiveTable truth(options);
  truth.fit(samples, labels);
  const std::vector<models::Prediction> predictions = truth.predict(samples);
  std::vector<double> noisy;
  Rng rng = Rng(1).derive("noise");
  for (const models::Prediction& prediction : predictions) {
    noisy.push_back(prediction.mean + noise_near(noise, prediction.mean, rng));
  }
  const models::ModelReport best = models::assess("truth", predictions, noisy);
  floor.best_mape = best.mape;
  floor.best_spearman = best.spearman;
  // A dozen entries of thousands of labels: nothing is fitted to any one of them.
  const models::ModelReport all = models::assess("all", predictions, labels);
  floor.all_labels_mape = all.mape;
  floor.all_labels_spearman = all.spearman;
  return floor;
}

namespace {

/// Mean and deviation over the seeds, as "8.1 ± 0.2".
std::string over_seeds(const std::vector<ModelRun>& runs, double (*value)(const ModelRun&),
                       const char* format) {
  std::vector<double> values;
  for (const ModelRun& run : runs) values.push_back(value(run));
  char text[64];
  std::snprintf(text, sizeof text, format, mean(values),
                values.size() > 1 ? standard_deviation(values) : 0.0);
  return text;
}

void print_row(const std::vector<ModelRun>& runs) {
  std::printf("| %s | %s | %lld | %s | %s | %s | %s | %s | %s |\n", runs[0].task.c_str(),
              runs[0].model.c_str(), static_cast<long long>(runs[0].labels),
              over_seeds(
                  runs, [](const ModelRun& r) { return 100 * r.held_out.mape; }, "%.1f ± %.1f")
                  .c_str(),
              over_seeds(
                  runs, [](const ModelRun& r) { return 100 * r.test.mape; }, "%.2f ± %.2f")
                  .c_str(),
              over_seeds(
                  runs, [](const ModelRun& r) { return r.test.spearman; }, "%.4f ± %.4f")
                  .c_str(),
              over_seeds(
                  runs, [](const ModelRun& r) { return r.test.kendall; }, "%.3f ± %.3f")
                  .c_str(),
              over_seeds(
                  runs, [](const ModelRun& r) { return 100 * r.test.coverage; }, "%.0f ± %.0f")
                  .c_str(),
              over_seeds(
                  runs, [](const ModelRun& r) { return 1000 * r.fit_s; }, "%.0f ± %.0f")
                  .c_str());
}

json to_json(const NoiseFloor& floor) {
  return {{"graphs", floor.graphs},
          {"median_variation", floor.median_variation},
          {"mean_variation", floor.mean_variation},
          {"best_mape", floor.best_mape},
          {"best_spearman", floor.best_spearman},
          {"all_labels_mape", floor.all_labels_mape},
          {"all_labels_spearman", floor.all_labels_spearman}};
}

json to_json(const ModelRun& run) {
  return {{"task", run.task},
          {"model", run.model},
          {"labels", run.labels},
          {"seed", run.seed},
          {"held_out", to_json(run.held_out)},
          {"test", to_json(run.test)},
          {"fit_s", run.fit_s}};
}

void print_head(const ModelsStudy& study, const NoiseFloor& floor) {
  std::printf("%lld networks (%lld that do not depend on their input are left out)\n",
              static_cast<long long>(study.networks()), static_cast<long long>(study.left_out()));
  std::printf(
      "Equal graphs (%lld that were measured more than once): coefficient of variation %.1f %% "
      "(median), %.1f %% (mean). With this noise the truth itself would score MAPE %.2f %%, "
      "Spearman %.4f. The additive table fitted to all labels: MAPE %.2f %%, Spearman %.4f.\n\n",
      static_cast<long long>(floor.graphs), 100 * floor.median_variation,
      100 * floor.mean_variation, 100 * floor.best_mape, floor.best_spearman,
      100 * floor.all_labels_mape, floor.all_labels_spearman);
  std::printf(
      "| what | model | labels | held-out MAPE %% | MAPE %% | Spearman | Kendall | inside 90 %% "
      "interval, %% | fit ms |\n|---|---|---|---|---|---|---|---|---|\n");
}

}  // namespace

void run_models_study(const std::filesystem::path& table, const std::filesystem::path& out,
                      int64_t seeds) {
  const ModelsStudy study(table);
  const NoiseFloor floor = study.noise_floor();
  print_head(study, floor);
  json results = {{"networks", study.networks()},
                  {"left_out", study.left_out()},
                  {"noise_floor", to_json(floor)},
                  {"runs", json::array()}};
  for (const ModelTask task : kTasks) {
    for (const int64_t labels : kLabels) {
      std::map<size_t, std::vector<ModelRun>> by_model;
      for (int64_t seed = 1; seed <= seeds; ++seed) {
        const std::vector<ModelRun> runs = study.run(task, labels, static_cast<uint64_t>(seed));
        for (size_t i = 0; i < runs.size(); ++i) {
          results["runs"].push_back(to_json(runs[i]));
          by_model[i].push_back(runs[i]);
        }
      }
      for (const auto& [model, runs] : by_model) print_row(runs);
      std::fflush(stdout);
    }
  }
  merge_results(out, {{"models", results}});
}

int models_main(int argc, char** argv) {
  CLI::App app{"How well the models of latency/models predict from few labels"};
  StudyArguments arguments;
  arguments.seeds = 5;
  add_table(app, arguments.table);
  add_out(app, arguments.out);
  add_seeds(app, arguments.seeds, 1, "draws of the labels", 2);
  return run_study(app, "models", argc, argv,
                   [&] { run_models_study(arguments.table, arguments.out, arguments.seeds); });
}

}  // namespace lathe::study
