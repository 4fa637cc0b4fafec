#include "supernet/train/supernet_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "supernet/executor/compute.h"
#include "supernet/executor/executor.h"
#include "supernet/train/channel_sorting.h"
#include "supernet/train/losses.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kMaximumRollBacks = 5;
constexpr double kLossSmoothing = 0.95;
constexpr int64_t kStepsBetweenCopies = 50;  ///< to return to
constexpr int64_t kStepsBetweenNorms = 10;   ///< norms of gradients cost a hundredth of a step

int64_t steps_in(int64_t images, int64_t batch) {
  if (images < batch) {
    throw ConfigError("/supernet/batch = " + std::to_string(batch) + ", expected at most the " +
                      std::to_string(images) + " training images");
  }
  return images / batch;
}

std::string short_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

/// The mean norms by role; roles that were not trained are left out.
nlohmann::ordered_json norms_json(const std::array<NormMean, 3>& norms) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (size_t role = 0; role < norms.size(); ++role) {
    if (norms[role].count == 0) continue;
    json[to_string(static_cast<SubnetRole>(role))] =
        norms[role].sum / static_cast<double>(norms[role].count);
  }
  return json;
}

}  // namespace

SupernetTrainer::SupernetTrainer(const search::SearchSpace& space, SharedWeights& weights,
                                 const Batches& images, const SupernetOptions& options,
                                 Identity identity, Paths paths, Communicator* group)
    : space_(space),
      weights_(weights),
      images_(images),
      options_(options.train),
      batches_(images, options.data.augmentation, {}),
      given_teacher_(options.teacher),
      seed_(Rng(options.seed).derive("train").seed()),
      threads_(options.threads),
      identity_(std::move(identity)),
      paths_(std::move(paths)),
      parallel_(group),
      steps_per_epoch_(steps_in(images.size(), options.train.batch)),
      sampler_(make_sampler(space, options.train, steps_per_epoch_, seed_)),
      total_steps_(sampler_->phases().back().first_step + sampler_->phases().back().steps),
      optimizer_(weights,
                 {options.train.momentum, options.train.weight_decay, options.train.gradient_clip}),
      largest_(space.lower(space.largest())),
      smallest_(space.lower(space.smallest())) {
  state_.values = weights_.values();
  state_.momentum = optimizer_.momentum();
  state_.averaged =
      options_.ema > 0.0 ? weights_.values().clone() : at::empty({0}, weights_.values().options());
  state_.teacher = at::empty({0}, weights_.values().options());
  settle_teacher();
  parallel_.check_same(identity_, options_.batch);
  if (auto found = load_checkpoint(paths_.checkpoint, identity_, parallel_.group())) {
    restore(*found);
    std::string lines;
    for (const std::string& line : state_.metrics) lines += line + "\n";
    if (parallel_.writes()) write_file_atomically(paths_.metrics, lines);
    if (finished()) settle();
  }
}

double SupernetTrainer::rate_factor() const {
  return std::pow(0.5, static_cast<double>(state_.attempt));
}

/// The teacher is the largest network as the state remembers it, else the configured one, or none.
void SupernetTrainer::settle_teacher() {
  if (state_.teacher.numel() > 0) {
    teacher_ = Teacher(largest_, weights_, state_.teacher, parallel_.group());
  } else {
    teacher_ = given_teacher_ ? Teacher(*given_teacher_, weights_.values().device()) : Teacher();
  }
}

void SupernetTrainer::restore(const TrainState& state) {
  weights_.values().copy_(state.values);
  optimizer_.momentum().copy_(state.momentum);
  weights_.gradients().zero_();
  const at::Device device = weights_.values().device();
  state_ = state;
  state_.values = weights_.values();
  state_.momentum = optimizer_.momentum();
  state_.averaged = state.averaged.to(device).clone();
  state_.teacher = state.teacher.to(device);
  settle_teacher();
  seconds_at_record_ = state_.records.empty() ? 0.0 : state_.records.back().seconds;
  images_since_record_ = state_.loss_count * options_.batch;
}

std::vector<EpochRecord> SupernetTrainer::run(Progress& progress, const std::function<bool()>& stop,
                                              const MeasureExtremes& measure) {
  const ComputeScope compute(threads_);
  if (finished()) return state_.records;
  require_precision(options_.precision, weights_.values().device());
  save_interval_s_ = options_.checkpoint_interval_s;
  if (!state_.good) {
    state_.good = copy_of_state();
    save();
  }
  last_save_s_ = steady_clock().now_s();
  progress.begin("train supernet", total_steps_, "step");
  prepare_batches();
  bool stopped = parallel_.any(stop());
  while (!finished() && !stopped) {
    parallel_.begin_step(state_.step);
    const double begin_s = steady_clock().now_s();
    const double loss = train_step();
    state_.seconds += steady_clock().now_s() - begin_s;
    const bool bad = loss_is_bad(loss);
    if (bad) {
      roll_back(loss);
    } else {
      if (state_.step % steps_per_epoch_ == 0 || finished()) record(measure);
      keep_if_good(loss);
      progress.update(state_.step, note());
    }
    if (!bad && is_time_to_save()) save();
    stopped = !finished() && parallel_.any(stop());
  }
  batches_.stop();
  save();
  if (finished()) settle();
  progress.end();
  return state_.records;
}

bool SupernetTrainer::is_time_to_save() const {
  return parallel_.writes() && steady_clock().now_s() - last_save_s_ >= save_interval_s_;
}

void SupernetTrainer::settle() {
  if (state_.averaged.numel() > 0) weights_.values().copy_(state_.averaged);
}

void SupernetTrainer::prepare_batches() {
  batches_.start(state_.step, total_steps_, ShuffledOrder(rng(), images_.size(), options_.batch));
}

network::Network SupernetTrainer::lowered(const DrawnSubnet& subnet) const {
  if (subnet.role == SubnetRole::Smallest) return smallest_;
  const bool whole = subnet.role == SubnetRole::Largest && subnet.architecture == space_.largest();
  return whole ? largest_ : space_.lower(subnet.architecture);
}

double SupernetTrainer::loss_without_gradients(const search::Architecture& architecture,
                                               const Batch& batch) const {
  at::NoGradGuard no_gradients;
  const Plan plan = make_plan(space_.lower(architecture));
  FrozenSlices slices(weights_);
  TrainBatchNorm policy(parallel_.group());
  const at::Tensor logits =
      Executor(plan, slices, policy, {}, options_.precision).run(batch.images);
  const at::Tensor loss = cross_entropy(logits, batch, options_.label_smoothing);
  return parallel_.sum(parallel_.share_of(loss).item<double>(), "the losses");
}

void SupernetTrainer::begin_phase(const TrainingPhase& phase) {
  optimizer_.momentum().zero_();
  state_.smoothed_loss = 0.0;  // losses of another phase do not compare
  state_.best_loss = 0.0;
  if (phase.takes_teacher) {
    state_.teacher = weights_.values().clone();
    settle_teacher();
  }
  if (phase.sorts_channels) sort_channels(largest_, weights_);
  if (state_.averaged.numel() > 0) state_.averaged.copy_(weights_.values());
}

at::Tensor SupernetTrainer::lesson_loss(const DrawnSubnet& subnet, const at::Tensor& logits,
                                        const Batch& batch, const at::Tensor& taught) const {
  if (subnet.learns_from == LearnsFrom::Largest) return distillation(logits, taught);
  at::Tensor loss = cross_entropy(logits, batch, options_.label_smoothing);
  if (!taught.defined()) return loss;
  const TeacherOptions& teacher = options_.teacher;
  return (1.0 - teacher.weight) * loss +
         teacher.weight * distillation(logits, taught, teacher.temperature);
}

/// Norms are of the whole batch's gradients, not of this process's share.
void SupernetTrainer::add_norm(SubnetRole role, const TrainableSlices& slices) {
  at::NoGradGuard no_gradients;
  at::Tensor gradients = slices.flat_gradients();
  parallel_.sum_gradients(gradients);
  NormMean& norm = state_.gradient_norms[static_cast<size_t>(role)];
  norm.sum += at::norm(gradients).item<double>();
  ++norm.count;
}

/// Early on the mean reaches back less far, or it would remember the random start.
void SupernetTrainer::average_weights(const TrainingPhase& phase) {
  if (state_.averaged.numel() == 0) return;
  const auto steps = static_cast<double>(state_.step - phase.first_step);
  const double decay = std::min(options_.ema, (1.0 + steps) / (10.0 + steps));
  state_.averaged.lerp_(weights_.values(), 1.0 - decay);
}

double SupernetTrainer::train_step() {
  const TrainingPhase& phase = phase_at(sampler_->phases(), state_.step);
  if (state_.step == phase.first_step && state_.step > 0) begin_phase(phase);
  const auto position = static_cast<uint64_t>(state_.step);
  const Batch batch = parallel_.part_of(batches_.next());
  Rng choices = rng().derive("subnets", position);
  const auto subnets = sampler_->draw(state_.step, choices, [&](const auto& architecture) {
    return loss_without_gradients(architecture, batch);
  });
  const at::Tensor of_teacher = teacher_.exists() ? teacher_.logits(batch.images) : at::Tensor();
  const bool measures_norms = state_.step % kStepsBetweenNorms == 0;
  TrainBatchNorm policy(parallel_.group());
  at::Tensor of_largest;
  double first_loss = 0.0;
  for (size_t s = 0; s < subnets.size(); ++s) {
    const DrawnSubnet& subnet = subnets[s];
    const Plan plan = make_plan(lowered(subnet));
    TrainableSlices slices(weights_);
    Regularisation noise;
    if (subnet.regularised) {
      noise = {options_.dropout, options_.drop_connect, rng().derive("noise", position).seed(),
               parallel_.first(), parallel_.batch()};
    }
    at::Tensor loss;
    {
      const at::Tensor logits =
          Executor(plan, slices, policy, noise, options_.precision).run(batch.images);
      loss = parallel_.share_of(
          lesson_loss(subnet, logits, batch,
                      subnet.learns_from == LearnsFrom::Largest ? of_largest : of_teacher));
      if (s == 0) {
        of_largest = logits.detach();
        first_loss = parallel_.sum(loss.item<double>(), "the losses");
      }
    }
    if (!std::isfinite(first_loss)) return first_loss;
    backward(loss);
    if (measures_norms) add_norm(subnet.role, slices);
    slices.add_gradients();
  }
  at::NoGradGuard no_gradients;
  parallel_.sum_gradients(weights_.gradients());
  if (!at::isfinite(weights_.gradients()).all().item<bool>()) return std::nan("");
  optimizer_.step(learning_rate_at(sampler_->phases(), state_.step) * rate_factor());
  ++state_.step;
  average_weights(phase);
  state_.loss_sum += first_loss;
  ++state_.loss_count;
  images_since_record_ += options_.batch;
  return first_loss;
}

/// Half of the way back to chance. While the best loss is itself near chance, where losses jitter,
/// more than that.
double SupernetTrainer::allowed_rise() const {
  const double chance = std::log(static_cast<double>(largest_.output_shape().back()));
  return std::max(0.5 * (chance - state_.best_loss), 0.15 * chance);
}

bool SupernetTrainer::loss_is_bad(double loss) {
  if (!std::isfinite(loss)) {
    trouble_ = "the loss or a gradient is not finite";
    return true;
  }
  state_.smoothed_loss = state_.smoothed_loss == 0.0 ? loss
                                                     : kLossSmoothing * state_.smoothed_loss +
                                                           (1.0 - kLossSmoothing) * loss;
  const TrainingPhase& phase = phase_at(sampler_->phases(), state_.step - 1);
  if (state_.step <= phase.first_step + phase.warmup_steps) return false;
  if (state_.best_loss == 0.0 || state_.smoothed_loss < state_.best_loss)
    state_.best_loss = state_.smoothed_loss;
  if (state_.smoothed_loss <= state_.best_loss + allowed_rise()) return false;
  trouble_ = "the loss rose from " + short_text(state_.best_loss) + " to " +
             short_text(state_.smoothed_loss);
  return true;
}

std::shared_ptr<TrainState> SupernetTrainer::copy_of_state() const {
  auto copy = std::make_shared<TrainState>(state_);
  copy->good = nullptr;
  copy->values = state_.values.clone();
  copy->momentum = state_.momentum.clone();
  copy->averaged = state_.averaged.clone();
  return copy;
}

/// The smoothed loss is late to tell of a rise, and the last one alone jitters: both must be well.
void SupernetTrainer::keep_if_good(double loss) {
  if (state_.step % kStepsBetweenCopies != 0) return;
  const double worse = std::max(loss, state_.smoothed_loss);
  const bool judged = state_.best_loss > 0.0;
  if (!judged || worse <= state_.best_loss + 0.5 * allowed_rise()) state_.good = copy_of_state();
}

/// Accuracies are those of the last whole epoch.
std::string SupernetTrainer::note() const {
  char text[96];
  std::snprintf(text, sizeof text, "loss %.3f", state_.smoothed_loss);
  std::string line = text;
  if (state_.records.empty()) return line;
  const EpochRecord& last = state_.records.back();
  std::snprintf(text, sizeof text, "  largest %.3f  smallest %.3f", last.top1_largest,
                last.top1_smallest);
  return line + text;
}

void SupernetTrainer::roll_back(double loss) {
  const int64_t at_step = state_.step;
  const int64_t attempt = state_.attempt + 1;
  if (attempt > kMaximumRollBacks) {
    throw DataError("supernet training: " + trouble_ + " at step " + std::to_string(at_step) +
                    " after " + std::to_string(kMaximumRollBacks) +
                    " roll-backs, expected it to fall; lower supernet.learning_rate = " +
                    std::to_string(options_.learning_rate));
  }
  const auto good = std::make_shared<TrainState>(*state_.good);
  restore(*good);
  state_.attempt = attempt;
  good->attempt = attempt;
  const nlohmann::ordered_json line = {
      {"event", "roll_back"},
      {"step", at_step},
      {"reason", trouble_},
      {"loss", std::isfinite(loss) ? nlohmann::ordered_json(loss) : "not finite"},
      {"to_step", state_.step},
      {"attempt", attempt},
      {"learning_rate_factor", rate_factor()}};
  log::warning("training went wrong and was rolled back", {{"reason", trouble_},
                                                           {"step", std::to_string(at_step)},
                                                           {"to_step", std::to_string(state_.step)},
                                                           {"attempt", std::to_string(attempt)}});
  write_metrics(line.dump());
  good->metrics = state_.metrics;
  state_.good = good;
  prepare_batches();
}

std::pair<double, double> SupernetTrainer::measured(const MeasureExtremes& measure) {
  if (state_.averaged.numel() == 0) return measure();
  const at::Tensor trained = weights_.values().clone();
  weights_.values().copy_(state_.averaged);
  const auto accuracies = measure();
  weights_.values().copy_(trained);
  return accuracies;
}

void SupernetTrainer::record(const MeasureExtremes& measure) {
  parallel_.check_same(weights_.values(), state_.step);
  EpochRecord record;
  record.epoch = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_);
  record.learning_rate = learning_rate_at(sampler_->phases(), state_.step - 1) * rate_factor();
  record.loss = state_.loss_sum / static_cast<double>(std::max<int64_t>(1, state_.loss_count));
  std::tie(record.top1_largest, record.top1_smallest) = measured(measure);
  record.seconds = state_.seconds;
  const double seconds = std::max(1e-9, state_.seconds - seconds_at_record_);
  record.images_per_s = static_cast<double>(images_since_record_) / seconds;
  state_.records.push_back(record);
  state_.loss_sum = 0.0;
  state_.loss_count = 0;
  images_since_record_ = 0;
  seconds_at_record_ = state_.seconds;
  nlohmann::ordered_json line = {{"epoch", record.epoch},
                                 {"step", state_.step},
                                 {"learning_rate", record.learning_rate},
                                 {"loss", record.loss},
                                 {"gradient_norm", norms_json(state_.gradient_norms)},
                                 {"top1_largest", record.top1_largest},
                                 {"top1_smallest", record.top1_smallest},
                                 {"seconds", record.seconds},
                                 {"images_per_s", record.images_per_s}};
  if (sampler_->phases().size() > 1) {
    line["phase"] = phase_at(sampler_->phases(), state_.step - 1).name;
  }
  state_.gradient_norms = {};
  write_metrics(line.dump());
}

void SupernetTrainer::write_metrics(const std::string& line) {
  state_.metrics.push_back(line);
  if (parallel_.writes()) append_line(paths_.metrics, line);
}

void SupernetTrainer::save() {
  const double begin_s = steady_clock().now_s();
  if (parallel_.writes()) save_checkpoint(paths_.checkpoint, state_, identity_);
  last_save_s_ = steady_clock().now_s();
  // Zero asks for every step, whatever it costs.
  if (options_.checkpoint_interval_s > 0.0) {
    save_interval_s_ = std::max(options_.checkpoint_interval_s, 50.0 * (last_save_s_ - begin_s));
  }
}

}  // namespace lathe::supernet
