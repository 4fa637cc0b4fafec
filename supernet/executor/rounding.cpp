#include "supernet/executor/rounding.h"

#include <utility>

#include "core/error.h"
#include "supernet/executor/batch_norm.h"
#include "supernet/executor/operators.h"
#include "supernet/executor/step_rounding.h"

namespace lathe::supernet {
namespace {

at::Tensor rounded(at::Tensor y, const network::TensorScale& scale) {
  const double step{scale.scale};
  const double low = -128.0 - scale.zero_point;
  const double high = 127.0 - scale.zero_point;
  if (has_kernels(y)) return round_to_steps(y, {step, low, high}, is_last_reference(y));
  if (!is_last_reference(y)) y = y.clone();  // in the same memory format
  return y.div_(step).round_().clamp_(low, high).mul_(step);
}

}  // namespace

std::vector<std::optional<network::TensorScale>> step_scales(
    const Plan& plan, const network::Quantization& quantization) {
  std::vector<std::optional<network::TensorScale>> scales;
  for (const Step& step : plan.steps) {
    const auto found = quantization.outputs.find(step.name);
    const bool known = found != quantization.outputs.end();
    scales.push_back(known ? std::optional(found->second) : std::nullopt);
  }
  return scales;
}

at::Tensor RoundedOutputs::run(size_t index, const Step&, at::Tensor y) {
  return scales_[index] ? rounded(std::move(y), *scales_[index]) : y;
}

/// First rounds, then shows.
class ModelExecutor::Outputs : public OutputPolicy {
 public:
  Outputs(const Plan& plan, const network::Quantization& quantization, OutputPolicy* then)
      : rounded_(plan, quantization), then_(then) {}
  at::Tensor run(size_t index, const Step& step, at::Tensor y) override {
    y = rounded_.run(index, step, std::move(y));
    return then_ == nullptr ? y : then_->run(index, step, std::move(y));
  }

 private:
  RoundedOutputs rounded_;
  OutputPolicy* then_;
};

ModelExecutor::ModelExecutor(const network::Model& model, at::Device device, OutputPolicy* outputs)
    : plan_(make_plan(model.network, model.quantization || outputs != nullptr
                                         ? Activations::Apart
                                         : Activations::Joined)),
      parameters_(model.weights, device) {
  if (model.quantization) {
    const std::string fault = network::quantization_fault(model);
    if (!fault.empty()) throw InvariantError("model executor: " + fault);
    outputs_ = std::make_unique<Outputs>(plan_, *model.quantization, outputs);
    outputs = outputs_.get();
  }
  executor_.emplace(plan_, parameters_, batch_norm_, Regularisation{}, Precision::Fp32, outputs);
}

at::Tensor ModelExecutor::run(const at::Tensor& images) const {
  at::NoGradGuard no_gradients;
  return executor_->run(images);
}

}  // namespace lathe::supernet
