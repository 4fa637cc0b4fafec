#include "experiments/supernet/evaluation_study.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "core/statistics.h"
#include "experiments/supernet/rounds.h"
#include "experiments/supernet/usual_network.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "network/cost.h"
#include "search/strategy/controller.h"
#include "supernet/data/dataset.h"
#include "supernet/data/splits.h"
#include "supernet/evaluate/subnet_evaluator.h"
#include "supernet/executor/compute.h"

namespace lathe::study {
namespace {

struct Arguments {
  std::string space;
  std::string out = "results.json";
  std::string data;  ///< folder of Fashion-MNIST; empty: where its package puts it
  int64_t generation = 4;
  int64_t candidates = 50;
  int64_t validation = 5000;
  int64_t calibration = 2000;
  int64_t batch = supernet::EvaluationOptions().batch;
  int rounds = 3;
  int threads = 0;
  std::string side;
};

/// An accuracy that grows with the MACs and differs from network to network: what a search needs to
/// converge as it does on a real supernet.
class StandInAccuracy : public search::AccuracyEvaluator {
 public:
  std::vector<Result<search::AccuracyEstimate>> evaluate(
      const std::vector<search::Candidate>& candidates, Progress&) override {
    std::vector<Result<search::AccuracyEstimate>> values;
    for (const search::Candidate& candidate : candidates) {
      const auto macs = static_cast<double>(network::cost(*candidate.network).macs);
      const double noise = Rng(stable_hash(candidate.architecture.to_string())).normal();
      values.push_back(search::accuracy_estimate(
          std::llround(5000.0 * (0.4 + 0.03 * std::log(macs) + 0.004 * noise)), 5000));
    }
    return values;
  }
};

/// The candidates of one generation of an NSGA-II search for accuracy against MACs.
std::vector<search::Candidate> generation(const search::SearchSpace& space,
                                          const Arguments& arguments) {
  search::SearchOptions options;
  options.strategy.name = "nsga2";
  options.strategy.population = arguments.candidates;
  options.problem.objectives = {{search::MetricKind::Accuracy, ""}, {search::MetricKind::Macs, ""}};
  options.batch = arguments.candidates;
  options.budget.evaluations = arguments.candidates * (arguments.generation + 1);
  StandInAccuracy accuracy;
  const auto file = std::filesystem::temp_directory_path() /
                    ("lathe-evaluation-study-" + std::to_string(::getpid()) + ".sqlite");
  search::Journal journal(file);
  search::SearchController controller(space, accuracy, {}, options, journal, 7);
  const auto outcome = controller.run(no_progress(), [] { return false; });
  std::filesystem::remove(file);
  std::vector<search::Candidate> candidates;
  for (const search::Evaluated& evaluated : outcome.evaluated) {
    if (evaluated.candidate.index < arguments.candidates * arguments.generation) continue;
    search::Candidate candidate = evaluated.candidate;
    candidate.network = std::make_shared<network::Network>(space.lower(candidate.architecture));
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

struct Scene {
  explicit Scene(const Arguments& arguments) : space(search::read_search_space(arguments.space)) {
    options.data.path = arguments.data;
    options.data.validation = arguments.validation;
    options.data.calibration = arguments.calibration;
    options.evaluation.calibration_images = arguments.calibration;
    options.evaluation.batch = arguments.batch;
    const auto dataset = supernet::open_dataset(options.data);
    const supernet::DatasetInfo info = dataset->train_info();
    const supernet::ImageSet all = dataset->read_train();
    const auto splits = supernet::split_training_files(options.data, all.size(), 1);
    calibration = std::make_unique<supernet::Batches>(supernet::select(all, splits.calibration),
                                                      info, at::kCPU);
    validation = std::make_unique<supernet::Batches>(supernet::select(all, splits.validation), info,
                                                     at::kCPU);
  }
  std::unique_ptr<search::SearchSpace> space;
  supernet::SupernetOptions options;
  std::unique_ptr<supernet::Batches> calibration, validation;
};

std::vector<const network::Network*> networks_of(const std::vector<search::Candidate>& candidates) {
  std::vector<const network::Network*> networks;
  for (const auto& candidate : candidates) networks.push_back(candidate.network.get());
  return networks;
}

double ours(const Arguments& arguments) {
  const Scene scene(arguments);
  const auto candidates = generation(*scene.space, arguments);
  supernet::SharedWeights weights(scene.space->covering(), 1, at::kCPU);
  supernet::SubnetEvaluator evaluator(weights, *scene.calibration, *scene.validation,
                                      scene.options.evaluation, arguments.threads);
  const double begin_s = steady_clock().now_s();
  evaluator.evaluate_networks(networks_of(candidates), [] {});
  return steady_clock().now_s() - begin_s;
}

/// One candidate after the other: forget the statistics, estimate them anew on the calibration
/// images, count what is right on the validation images.
double usual(const Arguments& arguments) {
  const Scene scene(arguments);
  const auto candidates = generation(*scene.space, arguments);
  at::set_num_threads(supernet::usable_threads(arguments.threads));
  UsualSupernet weights(scene.space->covering(), 1);
  const int64_t batch = scene.options.evaluation.batch;
  const at::NoGradGuard no_gradients;
  int64_t correct = 0;
  const double begin_s = steady_clock().now_s();
  for (const search::Candidate& candidate : candidates) {
    weights.reset_statistics();
    for (int64_t at = 0; at < arguments.calibration; at += batch) {
      const int64_t end = std::min(at + batch, arguments.calibration);
      weights.forward(*candidate.network, scene.calibration->range(at, end).images, true, 0.0);
    }
    for (int64_t at = 0; at < arguments.validation; at += batch) {
      const auto part = scene.validation->range(at, std::min(at + batch, arguments.validation));
      const at::Tensor logits = weights.forward(*candidate.network, part.images, false);
      correct += logits.argmax(1).eq(part.labels).sum().item<int64_t>();
    }
  }
  std::fprintf(stderr, "the usual way: %lld correct in all\n", static_cast<long long>(correct));
  return steady_clock().now_s() - begin_s;
}

/// How many of the candidates get another accuracy together than alone: none, it is claimed.
int64_t count_differences(const Arguments& arguments) {
  const Scene scene(arguments);
  const auto candidates = generation(*scene.space, arguments);
  supernet::SharedWeights weights(scene.space->covering(), 1, at::kCPU);
  supernet::SubnetEvaluator evaluator(weights, *scene.calibration, *scene.validation,
                                      scene.options.evaluation, arguments.threads);
  const auto together = evaluator.evaluate_networks(networks_of(candidates), [] {});
  int64_t differences = 0;
  for (size_t c = 0; c < candidates.size(); ++c) {
    const auto alone = evaluator.evaluate_networks({candidates[c].network.get()}, [] {});
    if (alone[0].top1 != together[c].top1) ++differences;
  }
  return differences;
}

}  // namespace

int evaluation_main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("A generation of candidates as a forest against one at a time the usual way");
  app.add_option("space", arguments.space, "file of configs/spaces/ for Fashion-MNIST")->required();
  add_out(app, arguments.out);
  app.add_option("--data", arguments.data, "folder of Fashion-MNIST");
  app.add_option("--generation", arguments.generation, "of the search")->capture_default_str();
  app.add_option("--candidates", arguments.candidates, "of a generation")->capture_default_str();
  app.add_option("--validation", arguments.validation, "images")->capture_default_str();
  app.add_option("--calibration", arguments.calibration, "images")->capture_default_str();
  app.add_option("--batch", arguments.batch, "of both sides")->capture_default_str();
  app.add_option("--rounds", arguments.rounds)->capture_default_str();
  app.add_option("--threads", arguments.threads, "0: all cores")->capture_default_str();
  app.add_option("--side", arguments.side, "measure one side, in this process")
      ->check(CLI::IsMember({"ours", "usual"}));
  app.add_flag_callback(
      "--quick",
      [&] {
        arguments.rounds = 1;
        arguments.validation = 1000;
        arguments.calibration = 500;
      },
      "1 round on 1,000 and 500 images");
  return run_study(app, "evaluation", argc, argv, [&] {
    if (!arguments.side.empty()) {
      std::printf("%.6f\n", arguments.side == "ours" ? ours(arguments) : usual(arguments));
      return;
    }
    const auto side = [&](const char* which) {
      std::vector<std::string> line = {"evaluation", arguments.space, "--side", which};
      const std::pair<const char*, int64_t> numbers[] = {
          {"--generation", arguments.generation}, {"--candidates", arguments.candidates},
          {"--validation", arguments.validation}, {"--calibration", arguments.calibration},
          {"--batch", arguments.batch},           {"--threads", arguments.threads}};
      for (const auto& [name, value] : numbers) {
        line.emplace_back(name);
        line.push_back(std::to_string(value));
      }
      if (!arguments.data.empty()) line.insert(line.end(), {"--data", arguments.data});
      return line;
    };
    const Rounds rounds = alternate(side("ours"), side("usual"), arguments.rounds);
    const int64_t differences = count_differences(arguments);
    const std::string name = search::read_search_space(arguments.space)->name();
    std::printf(
        "\n%s, generation %lld of %lld candidates: %.1f s, the usual way %.1f s: ratio %.2f "
        "(rounds "
        "%.2f to %.2f)\naccuracies that differ from evaluating alone: %lld\n",
        name.c_str(), static_cast<long long>(arguments.generation),
        static_cast<long long>(arguments.candidates), median(rounds.ours), median(rounds.usual),
        rounds.ratio(), rounds.lowest_ratio(), rounds.highest_ratio(),
        static_cast<long long>(differences));
    merge_results(arguments.out, {{"evaluation",
                                   {{"space", name},
                                    {"candidates", arguments.candidates},
                                    {"generation", arguments.generation},
                                    {"validation", arguments.validation},
                                    {"calibration", arguments.calibration},
                                    {"batch", arguments.batch},
                                    {"seconds", median(rounds.ours)},
                                    {"usual_seconds", median(rounds.usual)},
                                    {"ratio", rounds.ratio()},
                                    {"ratio_lowest", rounds.lowest_ratio()},
                                    {"ratio_highest", rounds.highest_ratio()},
                                    {"differences", differences}}}});
  });
}

}  // namespace lathe::study
