#include "supernet/compress/quantization_training.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "network/quantize.h"
#include "supernet/compress/fake_quantize.h"
#include "supernet/compress/folded_parameters.h"
#include "supernet/compress/sensitivity.h"
#include "supernet/data/batch_prefetcher.h"
#include "supernet/executor/rounding.h"
#include "supernet/train/losses.h"
#include "supernet/train/optimizer.h"
#include "supernet/train/teacher.h"

namespace lathe::supernet {
namespace {

/// A learned scale stays within this factor of the calibrated one.
constexpr double kScaleFreedom = 4.0;

/// The learned scales of activations, one for tensors that share one, and their momentum SGD.
class LearnedScales : public OutputPolicy {
 public:
  LearnedScales(const Plan& plan, const network::Model& calibrated, double momentum,
                at::Device device)
      : momentum_(momentum) {
    const auto groups = network::scale_groups(calibrated.network);
    std::map<std::string, size_t> group_of;
    for (const network::Node& node : calibrated.network.nodes()) {
      group_of[node.name] = groups[static_cast<size_t>(node.id)];
    }
    const auto scales = step_scales(plan, *calibrated.quantization);
    for (size_t s = 0; s < plan.steps.size(); ++s) {
      Learned* learned = nullptr;
      if (scales[s]) {
        learned = &learned_[group_of.at(plan.steps[s].name)];
        if (!learned->value.defined()) start(*learned, *scales[s], device);
      }
      of_step_.push_back(learned);
    }
  }

  at::Tensor run(size_t index, const Step&, at::Tensor y) override {
    const Learned* learned = of_step_[index];
    return learned == nullptr ? y : fake_quantize(y, learned->value, learned->zero_point);
  }

  void step(double learning_rate) {
    at::NoGradGuard no_gradients;
    for (auto& [group, learned] : learned_) {
      if (!learned.value.grad().defined()) continue;
      at::Tensor gradient = learned.value.grad();
      learned.velocity.mul_(momentum_).add_(gradient);
      learned.value.add_(gradient + learned.velocity * momentum_, -learning_rate);
      learned.value.clamp_(learned.first / kScaleFreedom, learned.first * kScaleFreedom);
      gradient.zero_();
    }
  }

  /// Returns the ranges that the scales stand for now.
  network::ValueRanges ranges(const Plan& plan) const {
    network::ValueRanges ranges;
    for (size_t s = 0; s < plan.steps.size(); ++s) {
      if (of_step_[s] == nullptr) continue;
      const auto scale = of_step_[s]->value.item<double>();
      const auto zero = static_cast<double>(of_step_[s]->zero_point);
      ranges[plan.steps[s].name] = {static_cast<float>((-128.0 - zero) * scale),
                                    static_cast<float>((127.0 - zero) * scale)};
    }
    return ranges;
  }

 private:
  struct Learned {
    at::Tensor value, velocity;
    double first = 0.0;
    int64_t zero_point = 0;
  };
  static void start(Learned& learned, const network::TensorScale& scale, at::Device device) {
    learned.first = double{scale.scale};
    learned.zero_point = scale.zero_point;
    learned.value = at::full({1}, learned.first, at::TensorOptions(at::kFloat).device(device));
    learned.velocity = at::zeros_like(learned.value);
    learned.value.requires_grad_(true);
  }

  double momentum_;
  std::map<size_t, Learned> learned_;  ///< by group
  std::vector<Learned*> of_step_;
};

/// Layers of integers are int8, or binary but for the first and the last.
std::map<std::string, WeightRounding> roundings(const network::Model& calibrated, bool binary) {
  const std::vector<std::string> names = layer_names(calibrated.network);
  std::map<std::string, WeightRounding> rounding;
  for (const network::Node& node : calibrated.network.nodes()) {
    if (node.parameters.empty()) continue;
    const bool integers = calibrated.quantization->weights.count(node.parameters[0].name) != 0;
    const bool outer = node.name == names.front() || node.name == names.back();
    rounding[node.name] = !integers          ? WeightRounding::Float
                          : binary && !outer ? WeightRounding::Binary
                                             : WeightRounding::Int8;
  }
  return rounding;
}

/// Folds what was learned and rounds it as it was rounded in training.
network::Model rounded_model(const FoldedParameters::Layout& layout, SharedWeights& weights,
                             const network::Model& calibrated, const network::ValueRanges& ranges,
                             const std::map<std::string, WeightRounding>& rounding) {
  at::NoGradGuard no_gradients;
  FoldedParameters folded(layout, weights);
  network::Model model{calibrated.network, {}};
  network::QuantizeOptions options;
  for (const network::Node& node : calibrated.network.nodes()) {
    for (const network::Parameter& parameter : node.parameters) {
      model.weights[parameter.name] = to_network(folded.exact(parameter));
    }
    if (node.parameters.empty()) continue;
    const network::Parameter& weight = node.parameters[0];
    if (rounding.at(node.name) == WeightRounding::Float) options.float_layers.insert(node.name);
    if (rounding.at(node.name) != WeightRounding::Binary) continue;
    options.weight_scales[weight.name] = to_network(folded.scales(weight)).values;
    model.weights[weight.name] = to_network(folded.value(weight));
  }
  return network::quantize(std::move(model), ranges, options);
}

}  // namespace

network::Model train_quantized(const network::Model& start, const network::Model& calibrated,
                               const network::Model* teacher_model, const Batches& images,
                               const QuantizeOptions::Training& training,
                               const SupernetOptions& options, at::Device device,
                               Progress& progress) {
  const auto rounding = roundings(calibrated, training.binary_weights);
  const FoldedParameters::Layout layout(start, calibrated.network, rounding, device);
  SharedWeights weights({start.network}, training.seed, device);
  weights.load(start.weights);
  Sgd optimizer(weights,
                {options.train.momentum, options.train.weight_decay, options.train.gradient_clip});
  const Teacher teacher = teacher_model ? Teacher(*teacher_model, device) : Teacher();
  const Plan plan = make_plan(calibrated.network, Activations::Apart);
  LearnedScales scales(plan, calibrated, options.train.momentum, device);
  StoredBatchNorm no_batch_norm;  // all are folded
  const int64_t batch_size = std::min(options.train.batch, images.size());
  LearningRateSchedule schedule;
  schedule.peak = training.learning_rate;
  schedule.total_steps = std::max<int64_t>(
      1, std::llround(training.epochs * static_cast<double>(images.size() / batch_size)));
  BatchPrefetcher batches(images, options.data.augmentation, {});
  batches.start(0, schedule.total_steps,
                ShuffledOrder(Rng(training.seed).derive("quantize"), images.size(), batch_size));
  progress.begin("train in int8", schedule.total_steps, "step");
  for (int64_t step = 0; step < schedule.total_steps; ++step) {
    const Batch batch = batches.next();
    FoldedParameters folded(layout, weights);
    const at::Tensor logits =
        Executor(plan, folded, no_batch_norm, {}, Precision::Fp32, &scales).run(batch.images);
    at::Tensor loss = cross_entropy(logits, batch, options.train.label_smoothing);
    if (teacher.exists()) {
      loss = 0.5 * loss + 0.5 * distillation(logits, teacher.logits(batch.images));
    }
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
      throw DataError("quantize: training: loss = " + std::to_string(value) + " at step " +
                      std::to_string(step) + ", expected a finite one; lower the learning rate " +
                      std::to_string(training.learning_rate));
    }
    backward(loss);
    folded.add_gradients();
    optimizer.step(schedule.at(step));
    scales.step(schedule.at(step));
    progress.update(step + 1, "loss " + std::to_string(value).substr(0, 5));
  }
  progress.end();
  return rounded_model(layout, weights, calibrated, scales.ranges(plan), rounding);
}

}  // namespace lathe::supernet
