#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "network/network.h"
#include "supernet/executor/executor.h"

namespace lathe::supernet {

/// Returns the scale of every step of make_plan(model.network, Activations::Apart); none where the
/// output stays float. \pre the model is quantised.
std::vector<std::optional<network::TensorScale>> step_scales(const Plan& plan,
                                                             const network::Quantization& scales);

/// Rounds the output of every step to its scale: with the weights of a quantised model, whose
/// values are rounded already, that is int8 inference but for the order of float sums. No
/// gradients.
class RoundedOutputs : public OutputPolicy {
 public:
  RoundedOutputs(const Plan& plan, const network::Quantization& quantization)
      : scales_(step_scales(plan, quantization)) {}
  at::Tensor run(size_t index, const Step& step, at::Tensor y) override;

 private:
  std::vector<std::optional<network::TensorScale>> scales_;
};

/// A standalone model with its own batch norm statistics, ready to answer: a quantised one as int8,
/// by rounding. No gradients. Not thread-safe.
class ModelExecutor {
 public:
  /// `outputs`, if given, sees every step's output after it was rounded, and must outlive this.
  /// \throws InvariantError for a quantised model with a fault.
  ModelExecutor(const network::Model& model, at::Device device, OutputPolicy* outputs = nullptr);
  ModelExecutor(const ModelExecutor&) = delete;
  ModelExecutor& operator=(const ModelExecutor&) = delete;

  at::Tensor run(const at::Tensor& images) const;
  const Plan& plan() const { return plan_; }
  /// The values in use; changing one in place changes what run() computes.
  ParameterSource& parameters() { return parameters_; }

 private:
  class Outputs;
  Plan plan_;
  ModelParameters parameters_;
  StoredBatchNorm batch_norm_;
  std::unique_ptr<OutputPolicy> outputs_;
  std::optional<Executor> executor_;
};

}  // namespace lathe::supernet
