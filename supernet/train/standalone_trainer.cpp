#include "supernet/train/standalone_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "supernet/executor/executor.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kMaximumRollBacks = 5;
constexpr double kLossSmoothing = 0.95;

/// The gradient of the scales' L1 norm goes to the gradients of all batch norm scales.
void add_gamma_sparsity(const Plan& plan, SharedWeights& weights, double strength) {
  if (strength == 0.0) return;
  for (const Step& step : plan.steps) {
    if (!std::holds_alternative<network::BatchNorm>(step.op)) continue;
    const network::Parameter& gamma = step.parameters[0];
    weights.gradient_slice(gamma).add_(weights.slice(gamma).sign(), strength);
  }
}

int64_t rounded(double value) { return static_cast<int64_t>(std::llround(value)); }

}  // namespace

StandaloneTrainer::Student::Student(const TrainedNetwork& trained, uint64_t seed,
                                    const SgdOptions& sgd, at::Device device)
    : plan(make_plan(trained.network, trained.also)),
      weights({trained.network}, seed, device),
      optimizer(weights, sgd) {
  if (trained.start != nullptr) weights.load(*trained.start);
}

StandaloneTrainer::StandaloneTrainer(const std::vector<TrainedNetwork>& networks,
                                     Objective& objective, const Batches& images,
                                     const SupernetOptions& options,
                                     const StandaloneOptions& schedule, Identity identity,
                                     at::Device device)
    : objective_(objective),
      images_(images),
      batches_(images, options.data.augmentation, {}),
      options_(options.train),
      standalone_(schedule),
      identity_(std::move(identity)),
      seed_(Rng(schedule.seed).derive("standalone").seed()),
      batch_size_(std::min(options.train.batch, images.size())) {
  if (images.size() < 1) {
    throw ConfigError("standalone training: images = 0, expected at least 1");
  }
  steps_per_epoch_ = images.size() / batch_size_;
  const auto per_epoch = static_cast<double>(steps_per_epoch_);
  schedule_.peak = schedule.learning_rate;
  schedule_.total_steps = std::max<int64_t>(1, rounded(schedule.epochs * per_epoch));
  schedule_.warmup_steps =
      std::min(rounded(schedule.warmup_epochs * per_epoch), schedule_.total_steps - 1);
  const SgdOptions sgd = {options_.momentum, options_.weight_decay, options_.gradient_clip};
  for (size_t n = 0; n < networks.size(); ++n) {
    students_.push_back(std::make_unique<Student>(
        networks[n], Rng(schedule.seed).derive("weights", n).seed(), sgd, device));
  }
  if (!schedule.checkpoint.empty()) {
    if (const auto found = load_checkpoint(schedule.checkpoint, identity_)) {
      restore(*found);
      saved_ = *found;
    }
  }
}

void StandaloneTrainer::restore(const TrainState& state) {
  int64_t offset = 0;
  for (const auto& student : students_) {
    at::Tensor& values = student->weights.values();
    values.copy_(state.values.narrow(0, offset, values.numel()));
    student->optimizer.momentum().copy_(state.momentum.narrow(0, offset, values.numel()));
    student->weights.gradients().zero_();
    offset += values.numel();
  }
  state_ = state;
  state_.values = state_.momentum = at::Tensor();
}

void StandaloneTrainer::save() {
  std::vector<at::Tensor> values;
  std::vector<at::Tensor> momentum;
  for (const auto& student : students_) {
    values.push_back(student->weights.values());
    momentum.push_back(student->optimizer.momentum());
  }
  saved_ = state_;
  saved_.values = at::cat(values);
  saved_.momentum = at::cat(momentum);
  if (!standalone_.checkpoint.empty()) {
    save_checkpoint(standalone_.checkpoint, saved_, identity_);
  }
}

bool StandaloneTrainer::run(Progress& progress, const std::function<bool()>& stop) {
  if (!saved_.values.defined()) save();
  progress.begin(standalone_.title, schedule_.total_steps, "step");
  progress.update(state_.step, "");
  start_batches();
  double last_save_s = steady_clock().now_s();
  double interval_s = options_.checkpoint_interval_s;
  while (!finished() && !stop()) {
    const double loss = train_step();
    if (!std::isfinite(loss)) {
      roll_back(loss);
      continue;
    }
    char note[32];
    std::snprintf(note, sizeof note, "loss %.3f", state_.smoothed_loss);
    progress.update(state_.step, note);
    const double now_s = steady_clock().now_s();
    if (now_s - last_save_s < interval_s) continue;
    save();
    last_save_s = steady_clock().now_s();
    // Zero asks for every step, whatever it costs.
    if (interval_s > 0.0) {
      interval_s = std::max(options_.checkpoint_interval_s, 50.0 * (last_save_s - now_s));
    }
  }
  batches_.stop();
  save();
  progress.end();
  return finished();
}

void StandaloneTrainer::start_batches() {
  batches_.start(state_.step, schedule_.total_steps,
                 ShuffledOrder(rng(), images_.size(), batch_size_));
}

double StandaloneTrainer::train_step() {
  const Batch batch = batches_.next();
  TrainBatchNorm policy;
  std::vector<TrainableSlices> slices;
  std::vector<std::vector<at::Tensor>> outputs(students_.size());
  for (size_t n = 0; n < students_.size(); ++n) {
    Student& student = *students_[n];
    slices.emplace_back(student.weights);
    outputs[n].resize(student.plan.results.size());
    Executor(student.plan, slices[n], policy)
        .run(batch.images, [&](size_t r, const at::Tensor& value) { outputs[n][r] = value; });
  }
  at::Tensor total = at::zeros({}, outputs[0][0].options());
  for (const at::Tensor& loss : objective_.losses(batch, outputs)) total = total + loss;
  outputs.clear();
  const auto count = static_cast<double>(students_.size());
  const double loss = total.item<double>() / count;
  if (!std::isfinite(loss)) return loss;
  backward(total);
  for (TrainableSlices& each : slices) each.add_gradients();
  at::NoGradGuard no_gradients;
  for (const auto& student : students_) {
    add_gamma_sparsity(student->plan, student->weights, standalone_.gamma_sparsity);
  }
  for (const auto& student : students_) {
    if (!at::isfinite(student->weights.gradients()).all().item<bool>()) return std::nan("");
  }
  const double rate =
      schedule_.at(state_.step) * std::pow(0.5, static_cast<double>(state_.attempt));
  for (const auto& student : students_) student->optimizer.step(rate);
  ++state_.step;
  state_.smoothed_loss = state_.smoothed_loss == 0.0 ? loss
                                                     : kLossSmoothing * state_.smoothed_loss +
                                                           (1.0 - kLossSmoothing) * loss;
  return loss;
}

void StandaloneTrainer::roll_back(double loss) {
  const int64_t at_step = state_.step;
  const int64_t attempt = state_.attempt + 1;
  if (attempt > kMaximumRollBacks) {
    throw DataError(standalone_.title + ": loss = " + std::to_string(loss) + " at step " +
                    std::to_string(at_step) + " after " + std::to_string(kMaximumRollBacks) +
                    " roll-backs, expected a finite one; lower the learning rate " +
                    std::to_string(standalone_.learning_rate));
  }
  restore(saved_);
  state_.attempt = saved_.attempt = attempt;
  start_batches();
  log::warning("training alone went wrong and was rolled back",
               {{"network", standalone_.title},
                {"step", std::to_string(at_step)},
                {"to_step", std::to_string(state_.step)},
                {"attempt", std::to_string(attempt)}});
}

}  // namespace lathe::supernet
