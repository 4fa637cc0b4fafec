#include "supernet/executor/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/error.h"
#include "supernet/executor/group_batch_norm.h"
#include "supernet/executor/kernels/channel_kernels.h"

namespace lathe::supernet {
namespace {

using network::ActivationKind;
using Moments = GroupMoments;

constexpr int64_t kTargetWidth = 512;  // columns that a kernel sees at least, channels repeated
constexpr int64_t kChunks = 32;  // partial sums; fixed, so that sums do not depend on the threads

/// The bounds if the kernels know the activation themselves.
std::optional<ActivationBounds> kernel_bounds(ActivationKind kind) {
  const double infinity = std::numeric_limits<double>::infinity();
  switch (kind) {
    case ActivationKind::Identity:
      return ActivationBounds{KernelActivation::Clamp, -infinity, infinity};
    case ActivationKind::Relu:
      return ActivationBounds{KernelActivation::Clamp, 0.0, infinity};
    case ActivationKind::Relu6:
      return ActivationBounds{KernelActivation::Clamp, 0.0, 6.0};
    case ActivationKind::HardSwish:
      return ActivationBounds{KernelActivation::HardSwish, 0.0, 0.0};
    case ActivationKind::HardSigmoid:
      return ActivationBounds{KernelActivation::HardSigmoid, 0.0, 0.0};
    case ActivationKind::Swish:
    case ActivationKind::Sigmoid:
    case ActivationKind::NegatedRelu:
      return std::nullopt;
  }
  throw InvariantError("batch norm: unknown activation");
}

/// [N, C, H, W] channels-innermost memory as a matrix of rows x width with `repeat` pixels a row,
/// and what does not fill a row as a second, one-pixel-wide matrix.
struct Rows {
  explicit Rows(const at::Tensor& x) : channels(x.size(1)), pixels(x.numel() / x.size(1)) {
    repeat = std::max<int64_t>(1, (kTargetWidth + channels - 1) / channels);
    repeat = std::min(repeat, std::max<int64_t>(1, pixels / kChunks));
    width = repeat * channels;
    rows = pixels / repeat;
    chunk_rows = (rows + kChunks - 1) / kChunks;
    rest = pixels - rows * repeat;
  }
  int64_t channels, pixels;
  int64_t repeat = 1, width = 0, rows = 0, chunk_rows = 0, rest = 0;

  /// Calls f(chunk, first element, rows, width) for every chunk in parallel, and for the rest as
  /// chunk kChunks.
  template <typename F>
  void for_chunks(const F& f) const {
    at::parallel_for(0, kChunks + 1, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        if (chunk == kChunks) {
          if (rest > 0) f(chunk, rows * width, rest, channels);
          continue;
        }
        const int64_t first = chunk * chunk_rows;
        const int64_t last = std::min(rows, first + chunk_rows);
        if (first < last) f(chunk, first * width, last - first, width);
      }
    });
  }

  /// `values` [C] repeated to one row's width.
  template <typename T>
  std::vector<T> widened(const std::vector<double>& values) const {
    std::vector<T> wide(static_cast<size_t>(width));
    for (size_t j = 0; j < wide.size(); ++j)
      wide[j] = static_cast<T>(values[j % static_cast<size_t>(channels)]);
    return wide;
  }

  /// Adds up partial sums [kChunks + 1][2][width] into two vectors [C], in order.
  void reduce(const std::vector<double>& parts, std::vector<double>& first,
              std::vector<double>& second) const {
    const auto count = static_cast<size_t>(channels);
    const auto stride = static_cast<size_t>(width);
    first.assign(count, 0.0);
    second.assign(count, 0.0);
    for (size_t chunk = 0; chunk <= kChunks; ++chunk) {
      const double* part = parts.data() + chunk * 2 * stride;
      for (size_t j = 0; j < stride; ++j) {
        first[j % count] += part[j];
        second[j % count] += part[stride + j];
      }
    }
  }
};

std::vector<double> to_doubles(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kDouble).contiguous();
  return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

template <typename T>
at::Tensor from_doubles(const std::vector<double>& values, const at::Tensor& like) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, like.options());
  std::transform(values.begin(), values.end(), tensor.data_ptr<T>(),
                 [](double v) { return static_cast<T>(v); });
  return tensor;
}

/// Mean and biased variance of every channel, summed around the first pixel so that large means do
/// not cancel.
template <typename T>
Moments moments_of(const at::Tensor& x) {
  const Rows rows(x);
  const T* data = x.data_ptr<T>();
  std::vector<double> origin(data, data + rows.channels);
  const std::vector<T> wide_origin = rows.widened<T>(origin);
  std::vector<double> parts(static_cast<size_t>((kChunks + 1) * 2 * rows.width), 0.0);
  rows.for_chunks([&](int64_t chunk, int64_t first, int64_t count, int64_t width) {
    double* part = parts.data() + chunk * 2 * rows.width;
    channel_kernels<T>().moments(data + first, count, width, wide_origin.data(), part,
                                 part + rows.width);
  });
  Moments moments;
  rows.reduce(parts, moments.mean, moments.variance);
  for (size_t c = 0; c < origin.size(); ++c) {
    const double shifted = moments.mean[c] / static_cast<double>(rows.pixels);
    const double square = moments.variance[c] / static_cast<double>(rows.pixels);
    moments.mean[c] = origin[c] + shifted;
    moments.variance[c] = std::max(0.0, square - shifted * shifted);
  }
  moments.count = static_cast<double>(rows.pixels);
  return moments;
}

/// scale and shift so that batch norm is x * scale + shift.
struct Affine {
  Affine(const Moments& moments, const at::Tensor& gamma, const at::Tensor& beta, double epsilon)
      : scale(to_doubles(gamma)), shift(to_doubles(beta)) {
    for (size_t c = 0; c < scale.size(); ++c) {
      inverse.push_back(1.0 / std::sqrt(moments.variance[c] + epsilon));
      scale[c] *= inverse[c];
      shift[c] -= moments.mean[c] * scale[c];
    }
  }
  std::vector<double> scale, shift, inverse;
};

template <typename T>
at::Tensor apply_affine(const at::Tensor& x, const Affine& affine, const ActivationBounds& bounds,
                        bool in_place) {
  const Rows rows(x);
  at::Tensor y = in_place ? x : at::empty_like(x);
  const std::vector<T> scale = rows.widened<T>(affine.scale);
  const std::vector<T> shift = rows.widened<T>(affine.shift);
  const T* from = x.data_ptr<T>();
  T* to = y.data_ptr<T>();
  rows.for_chunks([&](int64_t, int64_t first, int64_t count, int64_t width) {
    channel_kernels<T>().affine(from + first, to + first, count, width, scale.data(), shift.data(),
                                bounds);
  });
  return y;
}

template <typename T>
std::vector<at::Tensor> backward_of(const at::Tensor& x, const at::Tensor& dy,
                                    const Moments& moments, const Affine& affine,
                                    const ActivationBounds& bounds, Communicator* group) {
  const Rows rows(x);
  const T* value = x.data_ptr<T>();
  const T* gradient = dy.data_ptr<T>();
  const std::vector<T> scale = rows.widened<T>(affine.scale);
  const std::vector<T> shift = rows.widened<T>(affine.shift);
  const std::vector<T> mean = rows.widened<T>(moments.mean);
  std::vector<double> parts(static_cast<size_t>((kChunks + 1) * 2 * rows.width), 0.0);
  rows.for_chunks([&](int64_t chunk, int64_t first, int64_t count, int64_t width) {
    double* part = parts.data() + chunk * 2 * rows.width;
    channel_kernels<T>().backward_sums(value + first, gradient + first, count, width, scale.data(),
                                       shift.data(), mean.data(), bounds, part, part + rows.width);
  });
  GradientSums own;
  rows.reduce(parts, own.plain, own.product);
  const GradientSums all = pooled_over(group, own);
  std::vector<double> gamma_gradient(own.plain.size());
  std::vector<double> slope(own.plain.size());
  std::vector<double> offset(own.plain.size());
  for (size_t c = 0; c < own.plain.size(); ++c) {
    gamma_gradient[c] = own.product[c] * affine.inverse[c];
    const double inverse_square = affine.inverse[c] * affine.inverse[c];
    slope[c] = -affine.scale[c] * inverse_square * all.product[c] / moments.count;
    offset[c] = -affine.scale[c] * all.plain[c] / moments.count - slope[c] * moments.mean[c];
  }
  const std::vector<T> wide_slope = rows.widened<T>(slope);
  const std::vector<T> wide_offset = rows.widened<T>(offset);
  at::Tensor dx = at::empty_like(x);
  T* to = dx.data_ptr<T>();
  rows.for_chunks([&](int64_t, int64_t first, int64_t count, int64_t width) {
    channel_kernels<T>().backward_data(value + first, gradient + first, to + first, count, width,
                                       scale.data(), shift.data(), wide_slope.data(),
                                       wide_offset.data(), bounds);
  });
  return {dx, from_doubles<T>(gamma_gradient, x), from_doubles<T>(own.plain, x)};
}

/// Batch norm and activation as one differentiable operation: of the activations only the input is
/// kept, and each direction reads it twice instead of the four times of separate operators.
class FusedBatchNorm : public torch::autograd::Function<FusedBatchNorm> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& gamma, const at::Tensor& beta, double epsilon,
                            int64_t kind, Communicator* group) {
    const at::Tensor x = channels_innermost(input);
    const ActivationBounds bounds = *kernel_bounds(static_cast<ActivationKind>(kind));
    const bool is_float = x.scalar_type() == at::kFloat;
    const Moments moments =
        pooled_over(group, is_float ? moments_of<float>(x) : moments_of<double>(x));
    const Affine affine(moments, gamma, beta, epsilon);
    context->save_for_backward({x, gamma, beta});
    context->saved_data["mean"] = moments.mean;
    context->saved_data["variance"] = moments.variance;
    context->saved_data["count"] = moments.count;
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["kind"] = kind;
    context->saved_data["group"] = reinterpret_cast<int64_t>(group);
    return is_float ? apply_affine<float>(x, affine, bounds, false)
                    : apply_affine<double>(x, affine, bounds, false);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const Moments moments{context->saved_data["mean"].toDoubleVector(),
                          context->saved_data["variance"].toDoubleVector(),
                          context->saved_data["count"].toDouble()};
    const Affine affine(moments, saved[1], saved[2], context->saved_data["epsilon"].toDouble());
    const ActivationBounds bounds =
        *kernel_bounds(static_cast<ActivationKind>(context->saved_data["kind"].toInt()));
    auto* group = reinterpret_cast<Communicator*>(context->saved_data["group"].toInt());
    const at::Tensor dy = channels_innermost(gradients[0]);
    auto results = x.scalar_type() == at::kFloat
                       ? backward_of<float>(x, dy, moments, affine, bounds, group)
                       : backward_of<double>(x, dy, moments, affine, bounds, group);
    return {results[0], results[1], results[2], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

/// x * scale + shift with the kernels or, on other devices, with operators; activation included.
at::Tensor normalise(const at::Tensor& x, const Moments& moments, const at::Tensor& gamma,
                     const at::Tensor& beta, double epsilon, ActivationKind activation,
                     bool in_place) {
  const auto bounds = kernel_bounds(activation);
  const Affine affine(moments, gamma, beta, epsilon);
  const auto fused = bounds ? *bounds : *kernel_bounds(ActivationKind::Identity);
  at::Tensor y = x.scalar_type() == at::kFloat ? apply_affine<float>(x, affine, fused, in_place)
                                               : apply_affine<double>(x, affine, fused, in_place);
  return bounds ? y : activate(y, activation);
}

}  // namespace

void PooledMoments::add(const ChannelMoments& batch) {
  const auto count = static_cast<double>(batch.count);
  const at::Tensor mean = batch.mean.to(at::kDouble);
  const at::Tensor second = batch.variance.to(at::kDouble) + mean * mean;
  mean_ = count_ == 0 ? mean * count : mean_ + mean * count;
  second_ = count_ == 0 ? second * count : second_ + second * count;
  count_ += batch.count;
}

ChannelMoments PooledMoments::pooled() const {
  if (count_ == 0) throw InvariantError("PooledMoments::pooled: no batch was added");
  const at::Tensor mean = mean_ / static_cast<double>(count_);
  const at::Tensor variance = (second_ / static_cast<double>(count_) - mean * mean).clamp_min(0.0);
  return {mean, variance, count_};
}

bool has_kernels(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

at::Tensor channels_innermost(const at::Tensor& x) {
  return x.dim() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x.contiguous();
}

at::Tensor activate(const at::Tensor& x, ActivationKind activation) {
  switch (activation) {
    case ActivationKind::Identity:
      return x;
    case ActivationKind::Relu:
      return at::relu(x);
    case ActivationKind::Relu6:
      return at::hardtanh(x, 0.0, 6.0);
    case ActivationKind::HardSwish:
      return at::hardswish(x);
    case ActivationKind::Swish:
      return at::silu(x);
    case ActivationKind::HardSigmoid:
      return at::hardsigmoid(x);
    case ActivationKind::Sigmoid:
      return at::sigmoid(x);
    case ActivationKind::NegatedRelu:
      return at::relu(x.neg());
  }
  throw InvariantError("activate: unknown activation");
}

at::Tensor batch_norm_train(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                            double epsilon, ActivationKind activation, Communicator* group) {
  if (!has_kernels(x)) {
    const bool together = group != nullptr && !group->alone();
    const at::Tensor y = together
                             ? group_batch_norm(x, gamma, beta, epsilon, *group)
                             : at::batch_norm(x, gamma, beta, {}, {}, /*training=*/true,
                                              /*momentum=*/0.0, epsilon, /*cudnn_enabled=*/true);
    return activate(y, activation);
  }
  const bool fused = kernel_bounds(activation).has_value();
  const auto kind = static_cast<int64_t>(fused ? activation : ActivationKind::Identity);
  const at::Tensor y = FusedBatchNorm::apply(x, gamma, beta, epsilon, kind, group);
  return fused ? y : activate(y, activation);
}

ChannelMoments batch_moments(const at::Tensor& input) {
  if (!has_kernels(input)) {
    const std::vector<int64_t> dims = all_but_channels(input);
    const at::Tensor wide = input.to(at::kDouble);
    return {wide.mean(dims), wide.var(dims, /*unbiased=*/false), input.numel() / input.size(1)};
  }
  const at::Tensor x = channels_innermost(input);
  const Moments batch =
      x.scalar_type() == at::kFloat ? moments_of<float>(x) : moments_of<double>(x);
  const at::Tensor doubles = at::empty({0}, at::kDouble);
  return {from_doubles<double>(batch.mean, doubles), from_doubles<double>(batch.variance, doubles),
          x.numel() / x.size(1)};
}

std::optional<BatchNormMap> batch_norm_map(const at::Tensor& gamma, const at::Tensor& beta,
                                           const at::Tensor& mean, const at::Tensor& variance,
                                           double epsilon, ActivationKind activation) {
  const auto bounds = kernel_bounds(activation);
  if (!bounds) return std::nullopt;
  Affine affine({to_doubles(mean), to_doubles(variance), 0.0}, gamma, beta, epsilon);
  return BatchNormMap{std::move(affine.scale), std::move(affine.shift), *bounds};
}

at::Tensor batch_norm_given(const at::Tensor& input, const at::Tensor& gamma,
                            const at::Tensor& beta, const at::Tensor& mean,
                            const at::Tensor& variance, double epsilon, ActivationKind activation,
                            bool in_place) {
  if (!has_kernels(input)) {
    const at::Tensor y =
        at::batch_norm(input, gamma, beta, mean.to(input.options()), variance.to(input.options()),
                       /*training=*/false, /*momentum=*/0.0, epsilon, /*cudnn_enabled=*/true);
    return activate(y, activation);
  }
  const at::Tensor x = channels_innermost(input);
  const Moments moments{to_doubles(mean), to_doubles(variance), 0.0};
  return normalise(x, moments, gamma, beta, epsilon, activation, in_place || !x.is_same(input));
}

}  // namespace lathe::supernet
