#include "supernet/train/sandwich_trainer.h"

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
#include "supernet/train/losses.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kMaximumRollBacks = 5;
constexpr double kLossSmoothing = 0.95;

int64_t steps_in(int64_t images, int64_t batch) {
  if (images < batch) {
    throw ConfigError("/supernet/batch = " + std::to_string(batch) + ", expected at most the " +
                      std::to_string(images) + " training images");
  }
  return images / batch;
}

int64_t rounded(double value) { return static_cast<int64_t>(std::llround(value)); }

}  // namespace

SandwichTrainer::SandwichTrainer(const search::SearchSpace& space, SharedWeights& weights,
                                 const Batches& images, const SupernetOptions& options,
                                 Identity identity, Paths paths)
    : space_(space),
      weights_(weights),
      images_(images),
      options_(options.train),
      augmentation_(options.data.augmentation),
      seed_(Rng(options.seed).derive("train").seed()),
      threads_(options.threads),
      identity_(std::move(identity)),
      paths_(std::move(paths)),
      steps_per_epoch_(steps_in(images.size(), options.train.batch)),
      optimizer_(weights,
                 {options.train.momentum, options.train.weight_decay, options.train.gradient_clip}),
      largest_(space.lower(space.largest())),
      smallest_(space.lower(space.smallest())) {
  const auto per_epoch = static_cast<double>(steps_per_epoch_);
  schedule_.peak = options_.learning_rate;
  schedule_.warmup_steps = rounded(options_.warmup_epochs * per_epoch);
  schedule_.total_steps = std::max<int64_t>(1, rounded(options_.epochs * per_epoch));
  state_.values = weights_.values();
  state_.momentum = optimizer_.momentum();
  if (auto found = load_checkpoint(paths_.checkpoint, identity_)) {
    restore(*found);
    seconds_at_record_ = state_.records.empty() ? 0.0 : state_.records.back().seconds;
    images_since_record_ = state_.loss_count * options_.batch;
    write_file_atomically(
        paths_.metrics, std::accumulate(state_.metrics.begin(), state_.metrics.end(), std::string(),
                                        [](std::string all, const std::string& line) {
                                          return std::move(all) + line + "\n";
                                        }));
  }
}

void SandwichTrainer::restore(const TrainState& state) {
  weights_.values().copy_(state.values);
  optimizer_.momentum().copy_(state.momentum);
  weights_.gradients().zero_();
  state_ = state;
  state_.values = weights_.values();
  state_.momentum = optimizer_.momentum();
  saved_ = state;
}

std::vector<EpochRecord> SandwichTrainer::run(Progress& progress, const std::function<bool()>& stop,
                                              const MeasureExtremes& measure) {
  const ComputeScope compute(threads_);
  if (finished()) return state_.records;
  if (!saved_.values.defined()) save();
  progress.begin("train supernet", schedule_.total_steps, "step");
  double last_save_s = steady_clock().now_s();
  double interval_s = options_.checkpoint_interval_s;
  while (!finished() && !stop()) {
    const double begin_s = steady_clock().now_s();
    const double loss = train_step();
    state_.seconds += steady_clock().now_s() - begin_s;
    if (loss_is_bad(loss)) {
      roll_back(loss);
      continue;
    }
    if (state_.step % steps_per_epoch_ == 0 || finished()) record(measure);
    progress.update(state_.step, note());
    const double now_s = steady_clock().now_s();
    if (now_s - last_save_s >= interval_s) {
      save();
      last_save_s = steady_clock().now_s();
      // Zero asks for every step, whatever it costs.
      if (interval_s > 0.0) {
        interval_s = std::max(options_.checkpoint_interval_s, 50.0 * (last_save_s - now_s));
      }
    }
  }
  save();
  progress.end();
  return state_.records;
}

std::vector<int64_t> SandwichTrainer::batch_indices() {
  const int64_t epoch = state_.step / steps_per_epoch_;
  if (epoch != epoch_of_order_ || state_.attempt != attempt_of_order_) {
    order_.resize(static_cast<size_t>(images_.size()));
    std::iota(order_.begin(), order_.end(), int64_t{0});
    Rng shuffle = rng().derive("order", static_cast<uint64_t>(epoch));
    shuffle.shuffle(order_);
    epoch_of_order_ = epoch;
    attempt_of_order_ = state_.attempt;
  }
  const auto begin = order_.begin() + (state_.step % steps_per_epoch_) * options_.batch;
  return {begin, begin + options_.batch};
}

double SandwichTrainer::train_step() {
  const auto position = static_cast<uint64_t>(state_.step);
  const Batch batch =
      images_.augmented(batch_indices(), augmentation_, rng().derive("augment", position));
  Rng choices = rng().derive("subnets", position);
  TrainBatchNorm policy;
  at::Tensor teacher;
  double loss_of_largest = 0.0;
  const int64_t subnets = options_.random_subnets + 2;
  for (int64_t s = 0; s < subnets; ++s) {
    const bool is_random = s > 0 && s < subnets - 1;
    const network::Network drawn =
        is_random ? space_.lower(space_.sample_genes(choices)) : network::Network();
    const network::Network& network = is_random ? drawn : (s == 0 ? largest_ : smallest_);
    const Plan plan = make_plan(network);
    TrainableSlices slices(weights_);
    at::Tensor loss;
    {
      const Executor executor(plan, slices, policy);
      const at::Tensor logits = executor.run(batch.images);
      loss = s == 0 ? cross_entropy(logits, batch.labels, options_.label_smoothing)
                    : distillation(logits, teacher);
      if (s == 0) {
        teacher = logits.detach();
        loss_of_largest = loss.item<double>();
      }
    }
    if (!std::isfinite(loss_of_largest)) return loss_of_largest;
    backward(loss);
    slices.add_gradients();
  }
  at::NoGradGuard no_gradients;
  if (!at::isfinite(weights_.gradients()).all().item<bool>()) return std::nan("");
  optimizer_.step(schedule_.at(state_.step) * std::pow(0.5, static_cast<double>(state_.attempt)));
  ++state_.step;
  state_.loss_sum += loss_of_largest;
  ++state_.loss_count;
  images_since_record_ += options_.batch;
  return loss_of_largest;
}

bool SandwichTrainer::loss_is_bad(double loss) {
  if (!std::isfinite(loss)) return true;
  state_.smoothed_loss = state_.smoothed_loss == 0.0 ? loss
                                                     : kLossSmoothing * state_.smoothed_loss +
                                                           (1.0 - kLossSmoothing) * loss;
  if (state_.step <= schedule_.warmup_steps) return false;
  if (state_.best_loss == 0.0 || state_.smoothed_loss < state_.best_loss)
    state_.best_loss = state_.smoothed_loss;
  const double chance = std::log(static_cast<double>(largest_.output_shape().back()));
  return state_.smoothed_loss > state_.best_loss + 0.5 * chance;
}

/// Accuracies are those of the last whole epoch.
std::string SandwichTrainer::note() const {
  char text[96];
  std::snprintf(text, sizeof text, "loss %.3f", state_.smoothed_loss);
  std::string line = text;
  if (state_.records.empty()) return line;
  const EpochRecord& last = state_.records.back();
  std::snprintf(text, sizeof text, "  largest %.3f  smallest %.3f", last.top1_largest,
                last.top1_smallest);
  return line + text;
}

void SandwichTrainer::roll_back(double loss) {
  const int64_t at_step = state_.step;
  const int64_t attempt = state_.attempt + 1;
  if (attempt > kMaximumRollBacks) {
    throw DataError("supernet training: loss = " + std::to_string(loss) + " at step " +
                    std::to_string(at_step) + " after " + std::to_string(kMaximumRollBacks) +
                    " roll-backs, expected it to fall; lower supernet.learning_rate = " +
                    std::to_string(options_.learning_rate));
  }
  restore(saved_);
  state_.attempt = attempt;
  saved_.attempt = attempt;
  const nlohmann::ordered_json line = {
      {"event", "roll_back"},
      {"step", at_step},
      {"loss", std::isfinite(loss) ? nlohmann::ordered_json(loss) : "not finite"},
      {"to_step", state_.step},
      {"attempt", attempt},
      {"learning_rate_factor", std::pow(0.5, static_cast<double>(attempt))}};
  log::warning("training went wrong and was rolled back", {{"step", std::to_string(at_step)},
                                                           {"to_step", std::to_string(state_.step)},
                                                           {"attempt", std::to_string(attempt)}});
  write_metrics(line.dump());
  saved_.metrics = state_.metrics;
}

void SandwichTrainer::record(const MeasureExtremes& measure) {
  EpochRecord record;
  record.epoch = static_cast<double>(state_.step) / static_cast<double>(steps_per_epoch_);
  record.learning_rate = schedule_.at(state_.step - 1);
  record.loss_largest =
      state_.loss_sum / static_cast<double>(std::max<int64_t>(1, state_.loss_count));
  std::tie(record.top1_largest, record.top1_smallest) = measure();
  record.seconds = state_.seconds;
  const double seconds = std::max(1e-9, state_.seconds - seconds_at_record_);
  record.images_per_s = static_cast<double>(images_since_record_) / seconds;
  state_.records.push_back(record);
  state_.loss_sum = 0.0;
  state_.loss_count = 0;
  images_since_record_ = 0;
  seconds_at_record_ = state_.seconds;
  const nlohmann::ordered_json line = {{"epoch", record.epoch},
                                       {"step", state_.step},
                                       {"learning_rate", record.learning_rate},
                                       {"loss_largest", record.loss_largest},
                                       {"top1_largest", record.top1_largest},
                                       {"top1_smallest", record.top1_smallest},
                                       {"seconds", record.seconds},
                                       {"images_per_s", record.images_per_s}};
  write_metrics(line.dump());
}

void SandwichTrainer::write_metrics(const std::string& line) {
  state_.metrics.push_back(line);
  append_line(paths_.metrics, line);
}

void SandwichTrainer::save() {
  save_checkpoint(paths_.checkpoint, state_, identity_);
  saved_ = state_;
  saved_.values = state_.values.clone();
  saved_.momentum = state_.momentum.clone();
}

}  // namespace lathe::supernet
