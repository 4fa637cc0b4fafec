#include "supernet/executor/executor.h"

#include "core/error.h"
#include "supernet/data/batches.h"
#include "supernet/executor/depthwise.h"
#include "supernet/executor/operators.h"

namespace lathe::supernet {
namespace {

/// Whether the step is a depthwise convolution that can do the batch norm before and after it.
bool fuses_batch_norm(const Step& step) {
  const auto* conv = std::get_if<network::Conv2d>(&step.op);
  return conv != nullptr && !conv->bias && step.activation == network::ActivationKind::Identity &&
         is_depthwise(*conv, conv->groups * step.parameters[0].shape[1]);
}

double epsilon_of(const Step& step) { return std::get<network::BatchNorm>(step.op).epsilon; }

}  // namespace

at::Tensor TrainBatchNorm::run(size_t, const Step& step, const at::Tensor& x,
                               const std::vector<at::Tensor>& parameters, bool) {
  return batch_norm_train(x, parameters[0], parameters[1], epsilon_of(step), step.activation,
                          group_);
}

at::Tensor GivenBatchNorm::run(size_t index, const Step& step, const at::Tensor& x,
                               const std::vector<at::Tensor>& parameters, bool in_place) {
  const ChannelMoments moments = *statistics(index, step, &x, parameters);
  return batch_norm_given(x, parameters[0], parameters[1], moments.mean, moments.variance,
                          epsilon_of(step), step.activation, in_place);
}

std::optional<BatchNormMap> GivenBatchNorm::map(size_t index, const Step& step, const at::Tensor* x,
                                                const std::vector<at::Tensor>& parameters) {
  const std::optional<ChannelMoments> moments = statistics(index, step, x, parameters);
  if (!moments) return std::nullopt;
  return batch_norm_map(parameters[0], parameters[1], moments->mean, moments->variance,
                        epsilon_of(step), step.activation);
}

std::optional<ChannelMoments> CollectBatchNorm::statistics(size_t index, const Step&,
                                                           const at::Tensor* x,
                                                           const std::vector<at::Tensor>&) {
  if (x == nullptr) return std::nullopt;
  return moments_[index] = batch_moments(*x);
}

std::optional<ChannelMoments> RecalibratedBatchNorm::statistics(size_t index, const Step& step,
                                                                const at::Tensor*,
                                                                const std::vector<at::Tensor>&) {
  const auto found = moments_.find(index);
  if (found == moments_.end())
    throw InvariantError("batch norm " + step.name + ": it was not recalibrated");
  return found->second;
}

std::optional<ChannelMoments> StoredBatchNorm::statistics(
    size_t, const Step&, const at::Tensor*, const std::vector<at::Tensor>& parameters) {
  return ChannelMoments{parameters[2], parameters[3], 0};
}

Executor::Executor(const Plan& plan, ParameterSource& parameters, BatchNormPolicy& batch_norm,
                   const Regularisation& regularisation, Precision precision, OutputPolicy* outputs)
    : plan_(plan),
      batch_norm_(batch_norm),
      regularisation_(regularisation),
      outputs_(outputs),
      networks_of_step_(plan.steps.size()) {
  if (regularisation.any()) plan_noise();
  plan_fusion();
  parameters_.reserve(plan.steps.size());
  for (const Step& step : plan.steps) {
    std::vector<at::Tensor>& values = parameters_.emplace_back();
    size_t count = step.parameters.size();
    if (std::holds_alternative<network::BatchNorm>(step.op) && !batch_norm.uses_stored_statistics())
      count = 2;
    for (size_t p = 0; p < count; ++p) values.push_back(parameters.value(step.parameters[p]));
    if (precision == Precision::Bf16 && multiplies_in_low_precision(step.op, values)) {
      for (at::Tensor& value : values) value = value.to(at::kBFloat16);  // of which gradients know
    }
  }
  for (size_t n = 0; n < plan.results.size(); ++n) {
    networks_of_step_[static_cast<size_t>(plan.results[n])].push_back(n);
  }
}

void Executor::plan_noise() {
  if (plan_.results.size() != 1) {
    throw InvariantError("executor with dropout: networks = " +
                         std::to_string(plan_.results.size()) + ", expected 1");
  }
  drop_rates_.assign(plan_.steps.size(), 0.0);
  std::vector<size_t> sums;
  for (size_t s = 0; s < plan_.steps.size(); ++s) {
    if (std::holds_alternative<network::Add>(plan_.steps[s].op)) sums.push_back(s);
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    drop_rates_[sums[i]] = regularisation_.drop_connect * static_cast<double>(i + 1) /
                           static_cast<double>(sums.size());
  }
  const auto classifier = static_cast<size_t>(plan_.results[0]);
  if (std::holds_alternative<network::Linear>(plan_.steps[classifier].op)) {
    drop_rates_[classifier] = regularisation_.dropout;
  }
}

void Executor::plan_fusion() {
  const size_t count = plan_.steps.size();
  const auto is_batch_norm = [&](size_t s) {
    return std::holds_alternative<network::BatchNorm>(plan_.steps[s].op);
  };
  normalises_.assign(count, -1);
  is_left_to_readers_.assign(count, 0);
  std::vector<int> depthwise_readers(count, 0);
  for (size_t s = 0; s < count; ++s) {
    const Step& step = plan_.steps[s];
    if (step.inputs.size() != 1) continue;
    const auto input = static_cast<size_t>(step.inputs[0]);
    if (fuses_batch_norm(step)) ++depthwise_readers[input];
    if (is_batch_norm(s) && fuses_batch_norm(plan_.steps[input]) && plan_.steps[input].uses == 1)
      normalises_[input] = static_cast<int>(s);
  }
  for (size_t s = 0; s < count; ++s)
    is_left_to_readers_[s] = is_batch_norm(s) && depthwise_readers[s] == plan_.steps[s].uses;
}

/// A mask an element before the classifier, a mask an image elsewhere.
at::Tensor Executor::with_noise(size_t step, const at::Tensor& x, at::Generator& generator) const {
  const double keep = 1.0 - drop_rates_[step];
  const bool whole_images = std::holds_alternative<network::Add>(plan_.steps[step].op);
  std::vector<int64_t> shape = x.sizes().vec();
  if (whole_images) shape = {x.size(0), 1, 1, 1};
  if (regularisation_.batch > 0) shape[0] = regularisation_.batch;
  const at::Tensor mask =
      at::empty(shape, x.options().device(at::kCPU).memory_format(at::MemoryFormat::Contiguous))
          .bernoulli_(keep, generator)
          .div_(keep)
          .narrow(0, regularisation_.first, x.size(0));
  return x * mask.to(x.device());
}

void Executor::run(const at::Tensor& images,
                   const std::function<void(size_t, const at::Tensor&)>& result) const {
  std::vector<at::Tensor> outputs(plan_.steps.size());
  std::vector<int> left;
  left.reserve(plan_.steps.size());
  for (const Step& step : plan_.steps) left.push_back(step.uses);
  const bool overwrite = !at::GradMode::is_enabled();
  const bool fuses = overwrite && outputs_ == nullptr;
  std::vector<std::optional<BatchNormMap>> left_to_readers(fuses ? plan_.steps.size() : 0);
  std::vector<char> is_done(fuses ? plan_.steps.size() : 0, 0);
  at::Generator noise;
  if (!drop_rates_.empty()) {
    noise = at::make_generator<at::CPUGeneratorImpl>(regularisation_.seed);
  }
  std::vector<at::Tensor> inputs;
  for (size_t s = 0; s < plan_.steps.size(); ++s) {
    const Step& step = plan_.steps[s];
    inputs.clear();
    for (const int input : step.inputs) {
      at::Tensor& held = outputs[static_cast<size_t>(input)];
      inputs.push_back(--left[static_cast<size_t>(input)] == 0 ? std::move(held) : held);
    }
    if (!drop_rates_.empty() && drop_rates_[s] > 0.0) inputs[0] = with_noise(s, inputs[0], noise);
    const bool in_place = overwrite && !inputs.empty() && is_last_reference(inputs[0]);
    if (std::holds_alternative<network::Input>(step.op)) {
      outputs[s] = channels_innermost(resized(images, step.shape[2], step.shape[3]));
    } else if (std::holds_alternative<network::BatchNorm>(step.op)) {
      if (fuses && is_left_to_readers_[s] && has_kernels(inputs[0]))
        left_to_readers[s] = batch_norm_.map(s, step, &inputs[0], parameters_[s]);
      const bool passes = fuses && (is_done[s] || left_to_readers[s]);
      outputs[s] = passes ? std::move(inputs[0])
                          : batch_norm_.run(s, step, inputs[0], parameters_[s], in_place);
    } else if (fuses && fuses_batch_norm(step) && has_kernels(inputs[0])) {
      const auto& before = left_to_readers[static_cast<size_t>(step.inputs[0])];
      std::optional<BatchNormMap> after;
      if (normalises_[s] >= 0) {
        const auto next = static_cast<size_t>(normalises_[s]);
        after = batch_norm_.map(next, plan_.steps[next], nullptr, parameters_[next]);
        is_done[next] = after.has_value();
      }
      outputs[s] = depthwise_between(inputs[0], before, parameters_[s][0], after,
                                     std::get<network::Conv2d>(step.op));
    } else {
      outputs[s] = run_operator(step, inputs, parameters_[s], in_place);
    }
    if (outputs_ != nullptr) {
      inputs.clear();  // or what is read for the last time would look as if it were in use
      outputs[s] = outputs_->run(s, step, std::move(outputs[s]));
    }
    for (const size_t network : networks_of_step_[s]) {
      result(network, outputs[s]);
      --left[s];
    }
    if (left[s] == 0) outputs[s] = at::Tensor();
  }
}

at::Tensor Executor::run(const at::Tensor& images) const {
  if (plan_.results.size() != 1) {
    throw InvariantError("executor: networks = " + std::to_string(plan_.results.size()) +
                         ", expected 1");
  }
  at::Tensor output;
  run(images, [&output](size_t, const at::Tensor& value) { output = value; });
  return output;
}

}  // namespace lathe::supernet
