#include "supernet/compress/fake_quantize.h"

#include <cmath>
#include <vector>

#include "supernet/executor/batch_norm.h"
#include "supernet/executor/step_rounding.h"

namespace lathe::supernet {
namespace {

constexpr double kSmallestScale = 1e-12;

class LearnedStep : public torch::autograd::Function<LearnedStep> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& scale, int64_t zero_point) {
    context->save_for_backward({x, scale});
    context->saved_data["zero_point"] = zero_point;
    if (has_kernels(x)) return round_to_steps(x, range(scale, zero_point), /*in_place=*/false);
    return steps(x, scale, zero_point).mul_(scale);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const int64_t zero_point = context->saved_data["zero_point"].toInt();
    const at::Tensor& dy = gradients[0];
    const double share = 1.0 / std::sqrt(static_cast<double>(x.numel() / x.size(0)) * 255.0);
    if (has_kernels(x)) {
      const auto of = round_to_steps_backward(x, dy, range(saved[1], zero_point));
      return {of.x, at::full({1}, of.step * share, saved[1].options()), at::Tensor()};
    }
    const at::Tensor v = x / saved[1];
    const at::Tensor inside =
        v.ge(low(zero_point)).logical_and_(v.le(high(zero_point))).to(x.scalar_type());
    const at::Tensor slope = steps(x, saved[1], zero_point).sub_(v * inside);
    return {dy * inside, (dy * slope).sum().view({1}) * share, at::Tensor()};
  }

 private:
  static double low(int64_t zero_point) { return static_cast<double>(-128 - zero_point); }
  static double high(int64_t zero_point) { return static_cast<double>(127 - zero_point); }
  static RoundingSteps<double> range(const at::Tensor& scale, int64_t zero_point) {
    return {scale.item<double>(), low(zero_point), high(zero_point)};
  }
  static at::Tensor steps(const at::Tensor& x, const at::Tensor& scale, int64_t zero_point) {
    return at::div(x, scale).round_().clamp_(low(zero_point), high(zero_point));
  }
};

/// `value` forwards, the identity of `weight` backwards.
class StraightThrough : public torch::autograd::Function<StraightThrough> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& /*weight*/,
                            const at::Tensor& value) {
    return value;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradients) {
    return {gradients[0], at::Tensor()};
  }
};

std::vector<int64_t> inner_dimensions(const at::Tensor& weight) {
  std::vector<int64_t> dimensions;
  for (int64_t d = 1; d < weight.dim(); ++d) dimensions.push_back(d);
  return dimensions;
}

at::Tensor by_channel(const at::Tensor& scales, const at::Tensor& weight) {
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[0] = -1;
  return scales.view(shape);
}

}  // namespace

at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, int64_t zero_point) {
  return LearnedStep::apply(x, scale, zero_point);
}

at::Tensor channel_scales(const at::Tensor& weight) {
  const std::vector<int64_t> dimensions = inner_dimensions(weight);
  return weight.detach().abs().amax(dimensions).div_(127.0).clamp_min_(kSmallestScale);
}

at::Tensor fake_quantize_weight(const at::Tensor& weight, const at::Tensor& scales) {
  const at::Tensor steps = by_channel(scales, weight);
  const at::Tensor rounded =
      at::div(weight.detach(), steps).round_().clamp_(-127.0, 127.0).mul_(steps);
  return StraightThrough::apply(weight, rounded);
}

at::Tensor binary_scales(const at::Tensor& weight) {
  const std::vector<int64_t> dimensions = inner_dimensions(weight);
  return weight.detach().abs().mean(at::IntArrayRef(dimensions)).clamp_min_(kSmallestScale);
}

at::Tensor fake_binary_weight(const at::Tensor& weight, const at::Tensor& scales) {
  const at::Tensor sign = weight.detach().ge(0.0).to(weight.scalar_type()).mul_(2.0).sub_(1.0);
  return StraightThrough::apply(weight, sign * by_channel(scales, weight));
}

}  // namespace lathe::supernet
