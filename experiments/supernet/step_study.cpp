#include "experiments/supernet/step_study.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "core/statistics.h"
#include "experiments/supernet/rounds.h"
#include "experiments/supernet/usual_network.h"
#include "experiments/support/command_line.h"
#include "experiments/support/results.h"
#include "network/cost.h"
#include "supernet/executor/compute.h"
#include "supernet/executor/operators.h"
#include "supernet/train/losses.h"
#include "supernet/train/supernet_trainer.h"

namespace lathe::study {
namespace {

using supernet::DrawnSubnet;
using supernet::Plan;
using supernet::Step;

struct Arguments {
  std::vector<std::string> spaces;
  std::string out = "results.json";
  int64_t batch = 128;
  int64_t steps = 20;
  int rounds = 7;
  int threads = 0;
  std::string side;  ///< "ours" or "usual": this process measures one side of a round
};

supernet::ImageSet noise_images(const search::SearchSpace& space, int64_t count) {
  const network::Shape shape = space.lower(space.largest()).input_shape();
  const supernet::ImageShape images{shape[1], shape[2], shape[3]};
  std::vector<uint8_t> pixels(static_cast<size_t>(count * images.size()));
  Rng rng(1);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.below(256));
  const int64_t classes = space.lower(space.largest()).output_shape().back();
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) labels.push_back(i % classes);
  return {images, std::move(pixels), std::move(labels)};
}

supernet::SupernetOptions training(const Arguments& arguments) {
  supernet::SupernetOptions options;
  options.train.batch = arguments.batch;
  options.train.epochs = 2;
  options.train.warmup_epochs = 1;
  options.train.checkpoint_interval_s = 1e9;
  options.threads = arguments.threads;
  return options;
}

/// Seconds a step of lathe's trainer, augmentation included, in the second of two epochs.
double ours(const search::SearchSpace& space, const Arguments& arguments) {
  const supernet::ImageSet set = noise_images(space, arguments.batch * arguments.steps);
  supernet::DatasetInfo info;
  info.mean.assign(static_cast<size_t>(set.shape().channels), 0.5);
  info.standard_deviation.assign(static_cast<size_t>(set.shape().channels), 0.25);
  const supernet::Batches images(set, info, at::kCPU);
  supernet::SharedWeights weights(space.covering(), 1, at::kCPU);
  const auto folder =
      std::filesystem::temp_directory_path() / ("lathe-step-study-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  supernet::SupernetTrainer trainer(space, weights, images, training(arguments), {},
                                    {folder / "checkpoint.pt", folder / "metrics.jsonl"});
  const auto records = trainer.run(
      no_progress(), [] { return false; }, [] { return std::make_pair(0.0, 0.0); });
  std::filesystem::remove_all(folder);
  return (records[1].seconds - records[0].seconds) / static_cast<double>(arguments.steps);
}

/// Seconds a step written the usual way, on a batch that is there already.
double usual(const search::SearchSpace& space, const Arguments& arguments) {
  at::set_num_threads(supernet::usable_threads(arguments.threads));
  UsualSupernet weights(space.covering(), 1);
  const network::Shape shape = space.lower(space.largest()).input_shape();
  const at::Tensor images = at::randn({arguments.batch, shape[1], shape[2], shape[3]});
  const int64_t classes = space.lower(space.largest()).output_shape().back();
  const at::Tensor labels = at::arange(arguments.batch, at::kLong).remainder(classes);
  const auto sampler = supernet::make_sampler(space, training(arguments).train, arguments.steps, 1);
  double begin_s = 0.0;
  for (int64_t step = 0; step < 2 * arguments.steps; ++step) {
    if (step == arguments.steps) begin_s = steady_clock().now_s();
    Rng rng = Rng(1).derive("subnets", static_cast<uint64_t>(step));
    at::Tensor taught;
    for (const DrawnSubnet& subnet : sampler->draw(step, rng, {})) {
      const at::Tensor logits = weights.forward(space.lower(subnet.architecture), images, true);
      supernet::backward(taught.defined() ? supernet::distillation(logits, taught)
                                          : supernet::cross_entropy(logits, labels, 0.0));
      if (!taught.defined()) taught = logits.detach();
    }
    weights.step(0.01);
  }
  return (steady_clock().now_s() - begin_s) / static_cast<double>(arguments.steps);
}

std::string kind_of(const Step& step) {
  if (const auto* conv = std::get_if<network::Conv2d>(&step.op)) {
    if (conv->groups > 1 && conv->groups == conv->out_channels) return "depthwise convolution";
    return conv->kernel == 1 ? "1x1 convolution" : "k x k convolution";
  }
  if (std::holds_alternative<network::BatchNorm>(step.op)) return "batch norm and activation";
  return "other";
}

struct Share {
  double seconds = 0.0;
  double macs = 0.0;  ///< forward and backward, so three for each of inference
};

/// Runs one operation forward and backward by itself, some times; returns the median in seconds.
double time_alone(const Plan& plan, const Step& step, int64_t batch) {
  std::vector<at::Tensor> inputs;
  for (const int input : step.inputs) {
    network::Shape shape = plan.steps[static_cast<size_t>(input)].shape;
    shape[0] = batch;
    inputs.push_back(supernet::channels_innermost(at::randn(shape)).detach().requires_grad_(true));
  }
  std::vector<at::Tensor> parameters;
  for (const network::Parameter& parameter : step.parameters) {
    parameters.push_back(at::randn(parameter.shape).requires_grad_(true));
  }
  at::Tensor gradient;
  std::vector<double> seconds;
  for (int run = 0; run < 7; ++run) {
    const double begin_s = steady_clock().now_s();
    supernet::TrainBatchNorm policy;
    const at::Tensor y = std::holds_alternative<network::BatchNorm>(step.op)
                             ? policy.run(0, step, inputs[0], parameters, false)
                             : supernet::run_operator(step, inputs, parameters, false);
    const double forward_s = steady_clock().now_s() - begin_s;
    if (!gradient.defined()) gradient = at::ones_like(y);
    const double middle_s = steady_clock().now_s();
    y.backward(gradient);
    seconds.push_back(forward_s + steady_clock().now_s() - middle_s);
  }
  return median(seconds);
}

/// Where the time of a step goes: each of its operations alone.
std::map<std::string, Share> profile(const search::SearchSpace& space, const Arguments& arguments) {
  const supernet::ComputeScope compute(arguments.threads);
  const auto sampler = supernet::make_sampler(space, training(arguments).train, 1, 1);
  Rng rng(1);
  std::map<std::string, Share> shares;
  for (const DrawnSubnet& subnet : sampler->draw(0, rng, {})) {
    const Plan plan = supernet::make_plan(space.lower(subnet.architecture));
    for (const Step& step : plan.steps) {
      if (step.inputs.empty()) continue;
      Share& share = shares[kind_of(step)];
      share.seconds += time_alone(plan, step, arguments.batch);
      const auto* conv = std::get_if<network::Conv2d>(&step.op);
      if (conv == nullptr) continue;
      const network::Shape& weight = step.parameters[0].shape;
      share.macs += 3.0 * static_cast<double>(arguments.batch * network::element_count(weight) *
                                              step.shape[2] * step.shape[3]);
    }
  }
  return shares;
}

/// Multiply-accumulates a second of a matrix product of 1024 x 1024.
double sgemm_peak(int threads) {
  const supernet::ComputeScope compute(threads);
  const at::Tensor a = at::randn({1024, 1024, 1, 1});  // as a convolution, which runs in oneDNN
  const at::Tensor x = at::randn({1, 1024, 32, 32}).contiguous(at::MemoryFormat::ChannelsLast);
  std::vector<double> seconds;
  for (int run = 0; run < 15; ++run) {
    const double begin_s = steady_clock().now_s();
    at::conv2d(x, a);
    seconds.push_back(steady_clock().now_s() - begin_s);
  }
  return std::pow(1024.0, 3.0) / median(seconds);
}

void study_space(const std::string& file, const Arguments& arguments, nlohmann::json& results) {
  const auto space = search::read_search_space(file);
  const auto side = [&](const char* which) {
    return std::vector<std::string>{"step",      file,
                                    "--side",    which,
                                    "--batch",   std::to_string(arguments.batch),
                                    "--steps",   std::to_string(arguments.steps),
                                    "--threads", std::to_string(arguments.threads)};
  };
  const Rounds rounds = alternate(side("ours"), side("usual"), arguments.rounds);
  std::printf(
      "\n%s, batch %lld: %.1f ms a step, the usual way %.1f ms: ratio %.2f (rounds %.2f to %.2f)\n",
      space->name().c_str(), static_cast<long long>(arguments.batch), 1e3 * median(rounds.ours),
      1e3 * median(rounds.usual), rounds.ratio(), rounds.lowest_ratio(), rounds.highest_ratio());
  nlohmann::json entry = {{"batch", arguments.batch},
                          {"step_ms", 1e3 * median(rounds.ours)},
                          {"usual_step_ms", 1e3 * median(rounds.usual)},
                          {"ratio", rounds.ratio()},
                          {"ratio_lowest", rounds.lowest_ratio()},
                          {"ratio_highest", rounds.highest_ratio()}};
  const double peak = sgemm_peak(arguments.threads);
  const auto shares = profile(*space, arguments);
  double alone = 0.0;
  for (const auto& [kind, share] : shares) alone += share.seconds;
  std::printf("matrix product peak %.0f GFLOP/s; operations alone add up to %.1f ms\n", 2e-9 * peak,
              1e3 * alone);
  for (const auto& [kind, share] : shares) {
    std::printf("  %-26s %5.1f %%", kind.c_str(), 100.0 * share.seconds / alone);
    nlohmann::json& part = entry["profile"][kind];
    part["share"] = share.seconds / alone;
    if (share.macs > 0.0) {
      const double of_peak = share.macs / share.seconds / peak;
      std::printf("  %5.1f GFLOP/s, %4.1f %% of the peak", 2e-9 * share.macs / share.seconds,
                  100.0 * of_peak);
      part["of_peak"] = of_peak;
    }
    std::printf("\n");
  }
  entry["peak_gflops"] = 2e-9 * peak;
  entry["alone_ms"] = 1e3 * alone;
  results[space->name()] = entry;
}

}  // namespace

int step_main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("A sandwich step against the same one written the usual way");
  app.add_option("spaces", arguments.spaces, "files of configs/spaces/")->required();
  add_out(app, arguments.out);
  app.add_option("--batch", arguments.batch)->capture_default_str();
  app.add_option("--steps", arguments.steps, "of a round; so many more warm up")
      ->capture_default_str();
  app.add_option("--rounds", arguments.rounds)->capture_default_str();
  app.add_option("--threads", arguments.threads, "0: all cores")->capture_default_str();
  app.add_option("--side", arguments.side, "measure one side, in this process")
      ->check(CLI::IsMember({"ours", "usual"}));
  app.add_flag_callback(
      "--quick",
      [&] {
        arguments.rounds = 3;
        arguments.steps = 8;
      },
      "3 rounds of 8 steps");
  return run_study(app, "step", argc, argv, [&] {
    if (!arguments.side.empty()) {
      const auto space = search::read_search_space(arguments.spaces.front());
      std::printf("%.6f\n",
                  arguments.side == "ours" ? ours(*space, arguments) : usual(*space, arguments));
      return;
    }
    nlohmann::json results;
    for (const std::string& file : arguments.spaces) study_space(file, arguments, results);
    merge_results(arguments.out, {{"step", results}});
  });
}

}  // namespace lathe::study
