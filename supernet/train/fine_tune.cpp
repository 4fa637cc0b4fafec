#include "supernet/train/fine_tune.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "core/error.h"
#include "supernet/executor/executor.h"
#include "supernet/train/losses.h"
#include "supernet/train/optimizer.h"

namespace lathe::supernet {
namespace {

/// A trained network that only answers; null teacher: none.
class Teacher {
 public:
  Teacher(const network::Model& model, at::Device device)
      : plan_(make_plan(model.network)),
        parameters_(model.weights, device),
        executor_(plan_, parameters_, policy_) {}
  at::Tensor logits(const at::Tensor& images) const {
    at::NoGradGuard no_gradients;
    return executor_.run(images);
  }

 private:
  Plan plan_;
  ModelParameters parameters_;
  StoredBatchNorm policy_;
  Executor executor_;
};

}  // namespace

network::Model fine_tune_model(const network::Model& model, const network::Model* teacher_model,
                               const Batches& images, const SupernetOptions& options,
                               const Supernet::FineTuneOptions& tuning, at::Device device,
                               Progress& progress) {
  SharedWeights weights({model.network}, tuning.seed, device);
  weights.load(model.weights);
  Sgd optimizer(weights,
                {options.train.momentum, options.train.weight_decay, options.train.gradient_clip});
  const std::unique_ptr<Teacher> teacher =
      teacher_model ? std::make_unique<Teacher>(*teacher_model, device) : nullptr;
  const Plan plan = make_plan(model.network);
  Augmentation augmentation = options.data.augmentation;
  augmentation.mixup = 0.0;  // its loss knows one label an image
  const int64_t batch_size = std::min(options.train.batch, images.size());
  const int64_t per_epoch = images.size() / batch_size;
  LearningRateSchedule schedule;
  schedule.peak = tuning.learning_rate;
  schedule.total_steps =
      std::max<int64_t>(1, std::llround(tuning.epochs * static_cast<double>(per_epoch)));
  const Rng root = Rng(tuning.seed).derive("fine_tune");
  std::vector<int64_t> order(static_cast<size_t>(images.size()));
  TrainBatchNorm policy;
  progress.begin("fine-tune", schedule.total_steps, "step");
  for (int64_t step = 0; step < schedule.total_steps; ++step) {
    if (step % per_epoch == 0) {
      std::iota(order.begin(), order.end(), int64_t{0});
      Rng shuffle = root.derive("order", static_cast<uint64_t>(step / per_epoch));
      shuffle.shuffle(order);
    }
    const auto begin = order.begin() + (step % per_epoch) * batch_size;
    const Batch batch = images.augmented({begin, begin + batch_size}, augmentation,
                                         root.derive("augment", static_cast<uint64_t>(step)));
    TrainableSlices slices(weights);
    const at::Tensor logits = Executor(plan, slices, policy).run(batch.images);
    at::Tensor loss = cross_entropy(logits, batch.labels, options.train.label_smoothing);
    if (teacher) loss = 0.5 * loss + 0.5 * distillation(logits, teacher->logits(batch.images));
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
      throw DataError("fine-tune: loss = " + std::to_string(value) + " at step " +
                      std::to_string(step) + ", expected a finite one; lower the learning rate " +
                      std::to_string(tuning.learning_rate));
    }
    backward(loss);
    slices.add_gradients();
    optimizer.step(schedule.at(step));
    progress.update(step + 1, "loss " + std::to_string(value).substr(0, 5));
  }
  progress.end();
  network::Model tuned = model;
  for (const SharedWeights::Entry& entry : weights.entries()) {
    tuned.weights[entry.name] = to_network(weights.slice({entry.name, entry.shape}));
  }
  return tuned;
}

}  // namespace lathe::supernet
