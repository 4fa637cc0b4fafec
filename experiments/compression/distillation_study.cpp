#include "experiments/compression/distillation_study.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "experiments/compression/trained_run.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"

namespace lathe::study {
namespace {

struct Arguments {
  std::string run;
  std::string out = "results.json";
  std::vector<std::string> networks;  ///< by name; empty: all of the front
  int64_t seeds = 3;
  double epochs = 3;
  double learning_rate = 0.02;
};

/// One network fine-tuned twice with the same order of images: from labels alone, and with the
/// teacher. Validation top-1.
struct Pair {
  std::string network;
  int64_t seed = 0;
  double inherited = 0.0, labels = 0.0, distilled = 0.0;
  double gain() const { return 100.0 * (distilled - labels); }
};

/// Half the width of the 95 % interval of the mean of `values`, by Student's t.
double half_width(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  const double t = boost::math::quantile(boost::math::students_t(count - 1.0), 0.975);
  return t * standard_deviation(values) / std::sqrt(count);
}

double top1(TrainedRun& run, const network::Model& model, const network::Model* teacher,
            const Arguments& arguments, int64_t seed, const std::string& title,
            Progress& progress) {
  supernet::Supernet::FineTuneOptions options;
  options.epochs = arguments.epochs;
  options.learning_rate = arguments.learning_rate;
  options.seed = static_cast<uint64_t>(seed);
  options.title = title;
  return run.supernet().fine_tune(model, teacher, options, progress).validation.top1;
}

nlohmann::json study(const Arguments& arguments) {
  TrainedRun run(arguments.run);
  const auto progress = terminal_progress();
  const double start_s = steady_clock().now_s();
  const network::Model teacher = run.largest();
  const double teacher_top1 = run.supernet().calibrate(teacher).validation.top1;
  std::vector<ChosenNetwork> chosen = run.chosen();
  const auto unasked = [&](const ChosenNetwork& network) {
    const auto& asked = arguments.networks;
    return !asked.empty() && std::find(asked.begin(), asked.end(), network.name) == asked.end();
  };
  chosen.erase(std::remove_if(chosen.begin(), chosen.end(), unasked), chosen.end());
  if (chosen.empty()) throw ConfigError("--network: the run's front has none of that name");
  std::printf(
      "teacher %.4f\n\n| network | seed | inherited | labels alone | distilled | gain, points |\n",
      teacher_top1);
  std::printf("|---|---|---|---|---|---|\n");
  std::vector<double> gains;  // of each seed, mean over the networks
  nlohmann::json rows;
  for (int64_t seed = 1; seed <= arguments.seeds; ++seed) {
    std::vector<double> of_seed;
    for (const ChosenNetwork& network : chosen) {
      const std::string of = " " + network.name + ", seed " + std::to_string(seed);
      Pair pair{network.name, seed};
      pair.inherited = run.supernet().calibrate(network.model).validation.top1;
      pair.labels = top1(run, network.model, nullptr, arguments, seed, "fine-tune" + of, *progress);
      pair.distilled =
          top1(run, network.model, &teacher, arguments, seed, "distil" + of, *progress);
      of_seed.push_back(pair.gain());
      std::printf("| %s | %ld | %.4f | %.4f | %.4f | %+.2f |\n", pair.network.c_str(),
                  static_cast<long>(pair.seed), pair.inherited, pair.labels, pair.distilled,
                  pair.gain());
      std::fflush(stdout);
      rows.push_back({{"network", pair.network},
                      {"seed", pair.seed},
                      {"inherited", pair.inherited},
                      {"labels", pair.labels},
                      {"distilled", pair.distilled}});
    }
    gains.push_back(mean(of_seed));
  }
  std::printf("\ngain of distillation: %+.2f ± %.2f points (95 %% interval over %zu seeds)\n",
              mean(gains), half_width(gains), gains.size());
  return {{"dataset", run.supernet().data().dataset},
          {"space", run.space().name()},
          {"teacher", teacher_top1},
          {"epochs", arguments.epochs},
          {"learning_rate", arguments.learning_rate},
          {"pairs", rows},
          {"gain_points", mean(gains)},
          {"half_width_points", half_width(gains)},
          {"study_s", steady_clock().now_s() - start_s}};
}

}  // namespace

int distillation_main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Fine-tuning with and without a teacher, of the networks that a run chose"};
  app.add_option("run", arguments.run, "folder of a finished run")->required();
  add_out(app, arguments.out);
  app.add_option("--network", arguments.networks, "of its front, such as net-03; default: all");
  app.add_option("--seeds", arguments.seeds, "of the order of the images")
      ->check(CLI::Range(2, 10))
      ->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "of each")->capture_default_str();
  app.add_option("--learning-rate", arguments.learning_rate, "cosine to zero")
      ->capture_default_str();
  return run_study(app, "distillation", argc, argv, [&] {
    merge_results(arguments.out, {{"distillation", study(arguments)}});
  });
}

}  // namespace lathe::study
