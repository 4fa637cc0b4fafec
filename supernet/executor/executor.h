#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "supernet/executor/batch_norm.h"
#include "supernet/executor/plan.h"
#include "supernet/supernet.h"
#include "supernet/weights/shared_weights.h"

namespace lathe::supernet {

/// How an executor treats batch norm.
class BatchNormPolicy {
 public:
  virtual ~BatchNormPolicy() = default;
  /// Runs batch norm and its activation on the input of step `index`. `parameters`: gamma, beta[,
  /// mean, variance].
  virtual at::Tensor run(size_t index, const Step& step, const at::Tensor& x,
                         const std::vector<at::Tensor>& parameters, bool in_place) = 0;
  /// Whether the step needs its mean and variance parameters.
  virtual bool uses_stored_statistics() const { return false; }
  /// What run() does, for an operator beside the step to do it in passing; nullopt: run() has to.
  /// `x`: null before the step's input is there.
  virtual std::optional<BatchNormMap> map(size_t /*index*/, const Step& /*step*/,
                                          const at::Tensor* /*x*/,
                                          const std::vector<at::Tensor>& /*parameters*/) {
    return std::nullopt;
  }
};

/// Training: the batch's own statistics, differentiable.
class TrainBatchNorm : public BatchNormPolicy {
 public:
  /// `group`: those who each have a part of the batch; it must outlive the backward pass.
  explicit TrainBatchNorm(Communicator* group = nullptr) : group_(group) {}
  at::Tensor run(size_t index, const Step& step, const at::Tensor& x,
                 const std::vector<at::Tensor>& parameters, bool in_place) override;

 private:
  Communicator* group_;
};

/// Without gradients: normalises by statistics that come from elsewhere.
class GivenBatchNorm : public BatchNormPolicy {
 public:
  at::Tensor run(size_t index, const Step& step, const at::Tensor& x,
                 const std::vector<at::Tensor>& parameters, bool in_place) final;
  std::optional<BatchNormMap> map(size_t index, const Step& step, const at::Tensor* x,
                                  const std::vector<at::Tensor>& parameters) final;

 protected:
  /// Mean and variance of step `index`; nullopt if they need `x` and it is null.
  virtual std::optional<ChannelMoments> statistics(size_t index, const Step& step,
                                                   const at::Tensor* x,
                                                   const std::vector<at::Tensor>& parameters) = 0;
};

/// Recalibration: normalises by the batch's own statistics and keeps them.
class CollectBatchNorm : public GivenBatchNorm {
 public:
  /// The moments of every batch norm step that ran since the last call.
  std::map<size_t, ChannelMoments> take() { return std::exchange(moments_, {}); }

 protected:
  std::optional<ChannelMoments> statistics(size_t index, const Step& step, const at::Tensor* x,
                                           const std::vector<at::Tensor>& parameters) override;

 private:
  std::map<size_t, ChannelMoments> moments_;
};

/// Inference with recalibrated statistics. Thread-safe.
class RecalibratedBatchNorm : public GivenBatchNorm {
 public:
  explicit RecalibratedBatchNorm(std::map<size_t, ChannelMoments> moments)
      : moments_(std::move(moments)) {}

 protected:
  std::optional<ChannelMoments> statistics(size_t index, const Step& step, const at::Tensor* x,
                                           const std::vector<at::Tensor>& parameters) override;

 private:
  std::map<size_t, ChannelMoments> moments_;
};

/// Inference with the statistics stored in a standalone model.
class StoredBatchNorm : public GivenBatchNorm {
 public:
  bool uses_stored_statistics() const override { return true; }

 protected:
  std::optional<ChannelMoments> statistics(size_t index, const Step& step, const at::Tensor* x,
                                           const std::vector<at::Tensor>& parameters) override;
};

/// Noise of training: dropout on the input of the classifier (the network's last linear layer), and
/// drop-connect, which leaves out the residual branch (the first input of an Add) of some images:
/// of the last Add at the given rate, of earlier ones at rates that grow linearly up to it (Huang
/// et al., Stochastic Depth, 2016). What is kept is scaled so that expectations stay.
struct Regularisation {
  double dropout = 0.0;
  double drop_connect = 0.0;
  uint64_t seed = 0;  ///< of the masks: the same seed and plan, the same masks
  int64_t first = 0;  ///< the images are [first, ...) of a batch of ...
  int64_t batch = 0;  ///< ... so many: they get their part of the batch's masks; 0: all of it

  bool any() const { return dropout > 0.0 || drop_connect > 0.0; }
};

/// What is done with the output of every step before later steps read it.
class OutputPolicy {
 public:
  virtual ~OutputPolicy() = default;
  /// Returns the output of step `index`, changed or not. `y` may be overwritten if it is the last
  /// reference and gradients are off.
  virtual at::Tensor run(size_t index, const Step& step, at::Tensor y) = 0;
};

/// Runs a plan's networks on batches of images, channels innermost in memory throughout. Parameters
/// are fetched once, at construction. Without gradients, batch norm and its activation before and
/// after a depthwise convolution are done by that, where nothing else reads them: activations are
/// written once instead of three times. Thread-safe without gradients where its policies are.
class Executor {
 public:
  /// `plan` and `outputs` (null: outputs stay as they are) must outlive the executor. `precision`:
  /// of the products in convolutions and linear layers; their results, batch norm and all else stay
  /// float.
  Executor(const Plan& plan, ParameterSource& parameters, BatchNormPolicy& batch_norm,
           const Regularisation& regularisation = {}, Precision precision = Precision::Fp32,
           OutputPolicy* outputs = nullptr);

  /// Runs `images` [N, C, H, W] (any size: each network's input is resampled to its own resolution)
  /// and calls `result(network, output)` for every network as soon as its output is there. Without
  /// gradients a result is dropped, or overwritten, after its last use.
  void run(const at::Tensor& images,
           const std::function<void(size_t, const at::Tensor&)>& result) const;

  /// The same for a plan of one network.
  at::Tensor run(const at::Tensor& images) const;

 private:
  /// Fills drop_rates_. \throws InvariantError if the plan has not just one network.
  void plan_noise();
  /// Fills normalises_ and is_left_to_readers_.
  void plan_fusion();
  at::Tensor with_noise(size_t step, const at::Tensor& x, at::Generator& generator) const;

  const Plan& plan_;
  BatchNormPolicy& batch_norm_;
  Regularisation regularisation_;
  std::vector<double> drop_rates_;  ///< by step, of its first input; empty: no noise
  OutputPolicy* outputs_;
  std::vector<std::vector<at::Tensor>> parameters_;
  std::vector<int>
      normalises_;  ///< by step: the batch norm that a depthwise convolution can do after it; or -1
  std::vector<char>
      is_left_to_readers_;  ///< by step: whether only depthwise convolutions read this batch norm
  std::vector<std::vector<size_t>> networks_of_step_;
};

}  // namespace lathe::supernet
