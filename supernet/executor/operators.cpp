#include "supernet/executor/operators.h"

#include <limits>

#include "core/error.h"
#include "supernet/executor/batch_norm.h"
#include "supernet/executor/depthwise.h"

namespace lathe::supernet {
namespace {

using network::ActivationKind;

at::Tensor activate_in_place(at::Tensor y, ActivationKind activation) {
  switch (activation) {
    case ActivationKind::Relu:
      return y.relu_();
    case ActivationKind::Relu6:
      return at::hardtanh_(y, 0.0, 6.0);
    case ActivationKind::HardSwish:
      return at::hardswish_(y);
    case ActivationKind::Swish:
      return at::silu_(y);
    case ActivationKind::HardSigmoid:
      return at::hardsigmoid_(y);
    case ActivationKind::Sigmoid:
      return y.sigmoid_();
    case ActivationKind::NegatedRelu:
      return y.neg_().relu_();
    case ActivationKind::Identity:
      break;
  }
  return y;
}

/// LibTorch itself pads a pool by half of its window at most.
at::Tensor padded(const at::Tensor& x, int64_t by, double value) {
  return channels_innermost(at::constant_pad_nd(x, {by, by, by, by}, value));
}

class Runner {
 public:
  Runner(const Step& step, const std::vector<at::Tensor>& inputs,
         const std::vector<at::Tensor>& parameters, bool in_place)
      : step_(step), inputs_(inputs), parameters_(parameters), in_place_(in_place) {}

  at::Tensor operator()(const network::Conv2d& op) const {
    if (is_depthwise(op, inputs_[0])) {
      const at::Tensor y = depthwise(inputs_[0], parameters_[0], op);
      if (!op.bias) return y;
      const at::Tensor bias = parameters_[1].view({1, op.out_channels, 1, 1});
      return at::GradMode::is_enabled() ? at::add(y, bias) : at::Tensor(y).add_(bias);
    }
    const at::Tensor bias = op.bias ? parameters_[1] : at::Tensor();
    const at::Tensor x = inputs_[0].to(parameters_[0].scalar_type());
    // With one input channel LibTorch cannot see the format and answers row-major: convert once,
    // here.
    return channels_innermost(
               at::conv2d(x, parameters_[0], bias, op.stride, op.padding, 1, op.groups))
        .to(inputs_[0].scalar_type());
  }

  at::Tensor operator()(const network::Linear& op) const {
    const at::Tensor x = inputs_[0].to(parameters_[0].scalar_type());
    const at::Tensor bias = op.bias ? parameters_[1] : at::Tensor();
    if (!x.device().is_cpu() || x.scalar_type() == at::kDouble)
      return at::linear(x, parameters_[0], bias).to(inputs_[0].scalar_type());
    // As a convolution it runs in oneDNN; at::linear would call the system's BLAS, which may be the
    // slow reference.
    const at::Tensor image = x.view({x.size(0), x.size(1), 1, 1});
    const at::Tensor weight = parameters_[0].view({op.out_features, x.size(1), 1, 1});
    return at::conv2d(image, weight, bias)
        .view({x.size(0), op.out_features})
        .to(inputs_[0].scalar_type());
  }

  at::Tensor operator()(const network::Activation& op) const {
    return in_place_ ? activate_in_place(inputs_[0], op.kind) : activate(inputs_[0], op.kind);
  }

  at::Tensor operator()(const network::Add&) const {
    return in_place_ ? at::Tensor(inputs_[0]).add_(inputs_[1]) : at::add(inputs_[0], inputs_[1]);
  }

  at::Tensor operator()(const network::Multiply&) const {
    return in_place_ ? at::Tensor(inputs_[0]).mul_(inputs_[1]) : at::mul(inputs_[0], inputs_[1]);
  }

  at::Tensor operator()(const network::Concat&) const {
    return channels_innermost(at::cat(inputs_, 1));
  }

  at::Tensor operator()(const network::ChannelSlice& op) const {
    return channels_innermost(inputs_[0].narrow(1, op.begin, op.end - op.begin));
  }

  at::Tensor operator()(const network::ChannelShuffle& op) const {
    const at::Tensor& x = inputs_[0];
    const int64_t group = x.size(1) / op.groups;
    const at::Tensor grouped = x.reshape({x.size(0), op.groups, group, x.size(2), x.size(3)});
    return channels_innermost(grouped.transpose(1, 2).reshape(x.sizes()));
  }

  at::Tensor operator()(const network::MaxPool& op) const {
    if (2 * op.padding <= op.kernel) {
      return at::max_pool2d(inputs_[0], op.kernel, op.stride, op.padding);
    }
    const double least = -std::numeric_limits<double>::infinity();
    return at::max_pool2d(padded(inputs_[0], op.padding, least), op.kernel, op.stride);
  }

  at::Tensor operator()(const network::AveragePool& op) const {
    const auto pool = [&op](const at::Tensor& x, int64_t padding) {
      return at::avg_pool2d(x, op.kernel, op.stride, padding, /*ceil_mode=*/false,
                            /*count_include_pad=*/false);
    };
    if (2 * op.padding <= op.kernel) return pool(inputs_[0], op.padding);
    // The mean of a window and its zeros, by the share of the window that lies inside.
    const at::Tensor inside = pool(padded(at::ones_like(inputs_[0]), op.padding, 0.0), 0);
    return pool(padded(inputs_[0], op.padding, 0.0), 0) / inside;
  }

  at::Tensor operator()(const network::GlobalAveragePool&) const {
    return at::mean(inputs_[0], at::IntArrayRef({2, 3}), /*keepdim=*/true);
  }

  at::Tensor operator()(const network::Flatten&) const { return at::flatten(inputs_[0], 1); }

  at::Tensor operator()(const network::Resize& op) const {
    return at::upsample_bilinear2d(inputs_[0], {op.height, op.width}, /*align_corners=*/false);
  }

  at::Tensor operator()(const network::Input&) const { return refuse(); }
  at::Tensor operator()(const network::BatchNorm&) const { return refuse(); }

 private:
  at::Tensor refuse() const {
    throw InvariantError("run_operator " + step_.name + ": operator = " +
                         network::operator_name(step_.op) + ", expected one that needs no policy");
  }

  const Step& step_;
  const std::vector<at::Tensor>& inputs_;
  const std::vector<at::Tensor>& parameters_;
  bool in_place_;
};

}  // namespace

bool multiplies_in_low_precision(const network::Operator& op,
                                 const std::vector<at::Tensor>& parameters) {
  if (std::holds_alternative<network::Linear>(op)) return true;
  const auto* conv = std::get_if<network::Conv2d>(&op);
  if (conv == nullptr) return false;
  const bool one_channel_each = conv->groups > 1 && parameters[0].size(1) == 1;
  return !one_channel_each || !parameters[0].is_cpu();
}

bool is_last_reference(const at::Tensor& tensor) {
  return tensor.use_count() == 1 && tensor.storage().use_count() == 1;
}

at::Tensor run_operator(const Step& step, const std::vector<at::Tensor>& inputs,
                        const std::vector<at::Tensor>& parameters, bool in_place) {
  at::Tensor y = std::visit(Runner(step, inputs, parameters, in_place), step.op);
  if (step.activation == ActivationKind::Identity) return y;
  const bool overwrite = !at::GradMode::is_enabled() && is_last_reference(y);
  return overwrite ? activate_in_place(y, step.activation) : activate(y, step.activation);
}

}  // namespace lathe::supernet
