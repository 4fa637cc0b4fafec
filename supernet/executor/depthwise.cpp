#include "supernet/executor/depthwise.h"

#include <algorithm>
#include <vector>

#include "supernet/executor/batch_norm.h"
#include "supernet/executor/kernels/depthwise_kernels.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kMaximumKernel = 15;
constexpr int64_t kChunks =
    16;  // partial gradients; fixed, so that sums do not depend on the threads

DepthwiseShape shape_of(const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                        int64_t padding) {
  return {x.size(1), x.size(2), x.size(3), weight.size(2), stride, padding};
}

/// [C, 1, k, k] as [k * k, C].
at::Tensor to_taps(const at::Tensor& weight) {
  return weight.detach().reshape({weight.size(0), -1}).t().contiguous();
}

/// Calls f(image, scratch) for every image in parallel.
template <typename T, typename F>
void for_images(int64_t images, const DepthwiseShape& shape, const F& f) {
  at::parallel_for(0, images, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> scratch(static_cast<size_t>(shape.scratch()));
    for (int64_t n = begin; n < end; ++n) f(n, scratch.data());
  });
}

/// A BatchNormMap in the kernels' type.
template <typename T>
class KernelMap {
 public:
  explicit KernelMap(const std::optional<BatchNormMap>& map) {
    if (!map) return;
    scale_.assign(map->scale.begin(), map->scale.end());
    shift_.assign(map->shift.begin(), map->shift.end());
    map_ = {scale_.data(), shift_.data(), map->act};
  }
  const ChannelMap<T>& get() const { return map_; }

 private:
  std::vector<T> scale_, shift_;
  ChannelMap<T> map_;
};

template <typename T>
at::Tensor forward_of(const at::Tensor& x, const std::optional<BatchNormMap>& before,
                      const at::Tensor& weight, const std::optional<BatchNormMap>& after,
                      const DepthwiseShape& shape) {
  const KernelMap<T> first(before);
  const KernelMap<T> last(after);
  const at::Tensor taps = to_taps(weight);
  at::Tensor y = at::empty({x.size(0), shape.channels, shape.out_height(), shape.out_width()},
                           x.options(), at::MemoryFormat::ChannelsLast);
  const int64_t in_size = shape.channels * shape.height * shape.width;
  const int64_t out_size = shape.channels * shape.out_height() * shape.out_width();
  const T* from = x.data_ptr<T>();
  const T* tap = taps.data_ptr<T>();
  T* to = y.data_ptr<T>();
  for_images<T>(x.size(0), shape, [&](int64_t n, T* scratch) {
    depthwise_kernels<T>().forward(shape, from + n * in_size, first.get(), tap, last.get(),
                                   to + n * out_size, scratch);
  });
  return y;
}

template <typename T>
at::Tensor data_gradient(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight,
                         const DepthwiseShape& shape) {
  const at::Tensor taps = to_taps(weight);
  at::Tensor dx = at::empty_like(x);
  const int64_t in_size = shape.channels * shape.height * shape.width;
  const int64_t out_size = shape.channels * shape.out_height() * shape.out_width();
  const T* from = dy.data_ptr<T>();
  const T* tap = taps.data_ptr<T>();
  T* to = dx.data_ptr<T>();
  for_images<T>(x.size(0), shape, [&](int64_t n, T* scratch) {
    depthwise_kernels<T>().backward_data(shape, from + n * out_size, tap, to + n * in_size,
                                         scratch);
  });
  return dx;
}

template <typename T>
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight,
                           const DepthwiseShape& shape) {
  const int64_t in_size = shape.channels * shape.height * shape.width;
  const int64_t out_size = shape.channels * shape.out_height() * shape.out_width();
  const int64_t size = shape.channels * shape.kernel * shape.kernel;
  std::vector<double> parts(static_cast<size_t>(kChunks * size), 0.0);
  const T* value = x.data_ptr<T>();
  const T* gradient = dy.data_ptr<T>();
  const int64_t images = x.size(0);
  for_images<T>(kChunks, shape, [&](int64_t chunk, T* scratch) {
    for (int64_t n = images * chunk / kChunks; n < images * (chunk + 1) / kChunks; ++n) {
      depthwise_kernels<T>().backward_taps(shape, value + n * in_size, gradient + n * out_size,
                                           parts.data() + chunk * size, scratch);
    }
  });
  at::Tensor result = at::empty(weight.sizes(), weight.options());
  T* to = result.data_ptr<T>();
  const int64_t taps = shape.kernel * shape.kernel;
  for (int64_t k = 0; k < taps; ++k) {
    for (int64_t c = 0; c < shape.channels; ++c) {
      double sum = 0.0;
      for (int64_t chunk = 0; chunk < kChunks; ++chunk) {
        sum += parts[static_cast<size_t>(chunk * size + k * shape.channels + c)];
      }
      to[c * taps + k] = static_cast<T>(sum);
    }
  }
  return result;
}

class Depthwise : public torch::autograd::Function<Depthwise> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight, int64_t stride, int64_t padding) {
    const at::Tensor x = channels_innermost(input);
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    const DepthwiseShape shape = shape_of(x, weight, stride, padding);
    return x.scalar_type() == at::kFloat ? forward_of<float>(x, {}, weight, {}, shape)
                                         : forward_of<double>(x, {}, weight, {}, shape);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const DepthwiseShape shape = shape_of(x, weight, context->saved_data["stride"].toInt(),
                                          context->saved_data["padding"].toInt());
    const at::Tensor dy = channels_innermost(gradients[0]);
    const bool is_float = x.scalar_type() == at::kFloat;
    const at::Tensor dx = is_float ? data_gradient<float>(x, dy, weight, shape)
                                   : data_gradient<double>(x, dy, weight, shape);
    const at::Tensor dw = is_float ? weight_gradient<float>(x, dy, weight, shape)
                                   : weight_gradient<double>(x, dy, weight, shape);
    return {dx, dw, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool is_depthwise(const network::Conv2d& op, int64_t in_channels) {
  return op.groups > 1 && op.groups == in_channels && op.out_channels == op.groups &&
         op.kernel <= kMaximumKernel && op.kernel > op.padding;
}

bool is_depthwise(const network::Conv2d& op, const at::Tensor& x) {
  return is_depthwise(op, x.size(1)) && has_kernels(x);
}

at::Tensor depthwise(const at::Tensor& x, const at::Tensor& weight, const network::Conv2d& op) {
  return Depthwise::apply(x, weight, op.stride, op.padding);
}

at::Tensor depthwise_between(const at::Tensor& input, const std::optional<BatchNormMap>& before,
                             const at::Tensor& weight, const std::optional<BatchNormMap>& after,
                             const network::Conv2d& op) {
  const at::Tensor x = channels_innermost(input);
  const DepthwiseShape shape = shape_of(x, weight, op.stride, op.padding);
  return x.scalar_type() == at::kFloat ? forward_of<float>(x, before, weight, after, shape)
                                       : forward_of<double>(x, before, weight, after, shape);
}

}  // namespace lathe::supernet
