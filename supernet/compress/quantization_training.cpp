#include "supernet/compress/quantization_training.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
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
      : momentum_(momentum), of_device_(at::TensorOptions(at::kFloat).device(device)) {
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

  /// The scales that training began with, by group.
  std::vector<double> first() const {
    std::vector<double> first;
    for (const auto& [group, learned] : learned_) first.push_back(learned.first);
    return first;
  }

  /// [groups], and their momentum.
  at::Tensor values() const { return joined(&Learned::value); }
  at::Tensor velocities() const { return joined(&Learned::velocity); }
  void restore(const at::Tensor& values, const at::Tensor& velocities) {
    at::NoGradGuard no_gradients;
    int64_t i = 0;
    for (auto& [group, learned] : learned_) {
      learned.value.copy_(values.narrow(0, i, 1));
      learned.velocity.copy_(velocities.narrow(0, i, 1));
      ++i;
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
  at::Tensor joined(at::Tensor Learned::*member) const {
    std::vector<at::Tensor> all = {at::empty({0}, of_device_)};
    for (const auto& [group, learned] : learned_) all.push_back((learned.*member).detach());
    return at::cat(all);
  }
  static void start(Learned& learned, const network::TensorScale& scale, at::Device device) {
    learned.first = double{scale.scale};
    learned.zero_point = scale.zero_point;
    learned.value = at::full({1}, learned.first, at::TensorOptions(at::kFloat).device(device));
    learned.velocity = at::zeros_like(learned.value);
    learned.value.requires_grad_(true);
  }

  double momentum_;
  at::TensorOptions of_device_;
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

/// Everything that the outcome depends on.
Identity identity_of(const QuantizationLesson& lesson, const LearnedScales& scales,
                     const std::map<std::string, WeightRounding>& rounding,
                     const QuantizeOptions::Training& training, const TrainOptions& train,
                     Identity identity) {
  identity.emplace_back("start", hash_of(lesson.start));
  identity.emplace_back("int8", hash_of(lesson.calibrated));
  identity.emplace_back("teacher", lesson.teacher ? hash_of(*lesson.teacher) : "none");
  for (const double scale : scales.first()) identity.emplace_back("scale", exact_text(scale));
  for (const auto& [layer, how] : rounding) {
    identity.emplace_back(layer, std::to_string(static_cast<int>(how)));
  }
  identity.emplace_back("epochs", exact_text(training.epochs));
  identity.emplace_back("learning_rate", exact_text(training.learning_rate));
  identity.emplace_back("seed", std::to_string(training.seed));
  add_optimizer(train, identity);
  return identity;
}

class Trainer {
 public:
  Trainer(const QuantizationLesson& lesson, const Batches& images,
          const QuantizeOptions::Training& training, const SupernetOptions& options,
          const Identity& data, at::Device device)
      : lesson_(lesson),
        images_(images),
        training_(training),
        options_(options),
        rounding_(roundings(lesson.calibrated, training.binary_weights)),
        layout_(lesson.start, lesson.calibrated.network, rounding_, device),
        weights_({lesson.start.network}, training.seed, device),
        optimizer_(weights_, {options.train.momentum, options.train.weight_decay,
                              options.train.gradient_clip}),
        teacher_(lesson.teacher ? Teacher(*lesson.teacher, device) : Teacher()),
        plan_(make_plan(lesson.calibrated.network, Activations::Apart)),
        scales_(plan_, lesson.calibrated, options.train.momentum, device),
        batch_size_(std::min(options.train.batch, images.size())) {
    weights_.load(lesson.start.weights);
    schedule_.peak = training.learning_rate;
    schedule_.total_steps = std::max<int64_t>(
        1, std::llround(training.epochs * static_cast<double>(images.size() / batch_size_)));
    if (training.folder.empty()) return;
    identity_ = identity_of(lesson, scales_, rounding_, training, options.train, data);
    std::string all;
    for (const std::string& line : flatten(identity_)) all += line + "\n";
    checkpoint_ = training.folder / (sha256_hex(all).substr(0, 16) + ".pt");
    if (const auto found = load_checkpoint(checkpoint_, identity_)) restore(*found);
  }

  /// Returns whether it is the end.
  bool run(Progress& progress, const std::function<bool()>& stop) {
    BatchPrefetcher batches(images_, options_.data.augmentation, {});
    batches.start(
        step_, schedule_.total_steps,
        ShuffledOrder(Rng(training_.seed).derive("quantize"), images_.size(), batch_size_));
    progress.begin("train in int8", schedule_.total_steps, "step");
    progress.update(step_, "");
    double last_save_s = steady_clock().now_s();
    double interval_s = options_.train.checkpoint_interval_s;
    while (step_ < schedule_.total_steps && !stop()) {
      const double loss = train_step(batches.next());
      progress.update(step_, "loss " + std::to_string(loss).substr(0, 5));
      const double now_s = steady_clock().now_s();
      if (now_s - last_save_s < interval_s) continue;
      save();
      last_save_s = steady_clock().now_s();
      if (interval_s > 0.0) interval_s = std::max(interval_s, 50.0 * (last_save_s - now_s));
    }
    batches.stop();
    save();
    progress.end();
    return step_ >= schedule_.total_steps;
  }

  network::Model result() {
    return rounded_model(layout_, weights_, lesson_.calibrated, scales_.ranges(plan_), rounding_);
  }

 private:
  double train_step(const Batch& batch) {
    FoldedParameters folded(layout_, weights_);
    StoredBatchNorm no_batch_norm;  // all are folded
    const at::Tensor logits =
        Executor(plan_, folded, no_batch_norm, {}, Precision::Fp32, &scales_).run(batch.images);
    at::Tensor loss = cross_entropy(logits, batch, options_.train.label_smoothing);
    if (teacher_.exists()) {
      loss = 0.5 * loss + 0.5 * distillation(logits, teacher_.logits(batch.images));
    }
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
      throw DataError("quantize: training: loss = " + std::to_string(value) + " at step " +
                      std::to_string(step_) + ", expected a finite one; lower the learning rate " +
                      std::to_string(training_.learning_rate));
    }
    backward(loss);
    folded.add_gradients();
    optimizer_.step(schedule_.at(step_));
    scales_.step(schedule_.at(step_));
    ++step_;
    return value;
  }

  void save() {
    if (checkpoint_.empty()) return;
    TrainState state;
    state.step = step_;
    state.values = at::cat({weights_.values(), scales_.values()});
    state.momentum = at::cat({optimizer_.momentum(), scales_.velocities()});
    save_checkpoint(checkpoint_, state, identity_);
  }

  void restore(const TrainState& state) {
    const int64_t count = weights_.values().numel();
    weights_.values().copy_(state.values.narrow(0, 0, count));
    optimizer_.momentum().copy_(state.momentum.narrow(0, 0, count));
    scales_.restore(state.values.slice(0, count), state.momentum.slice(0, count));
    step_ = state.step;
  }

  const QuantizationLesson& lesson_;
  const Batches& images_;
  const QuantizeOptions::Training& training_;
  const SupernetOptions& options_;
  std::map<std::string, WeightRounding> rounding_;
  FoldedParameters::Layout layout_;
  SharedWeights weights_;
  Sgd optimizer_;
  Teacher teacher_;
  Plan plan_;
  LearnedScales scales_;
  int64_t batch_size_;
  LearningRateSchedule schedule_;
  Identity identity_;
  std::filesystem::path checkpoint_;  ///< empty: none
  int64_t step_ = 0;
};

}  // namespace

std::optional<network::Model> train_quantized(const QuantizationLesson& lesson,
                                              const Batches& images,
                                              const QuantizeOptions::Training& training,
                                              const SupernetOptions& options, const Identity& data,
                                              at::Device device, Progress& progress,
                                              const std::function<bool()>& stop) {
  Trainer trainer(lesson, images, training, options, data, device);
  if (!trainer.run(progress, stop)) return std::nullopt;
  return trainer.result();
}

}  // namespace lathe::supernet
