#include "supernet/executor/step_rounding.h"

#include <algorithm>
#include <vector>

#include "supernet/executor/batch_norm.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kChunk = 1 << 16;  // values; fixed, so that sums do not depend on the threads

/// Calls f(chunk, first value, values) for every chunk of x, in parallel.
template <typename F>
void for_chunks(const at::Tensor& x, const F& f) {
  const int64_t count = x.numel();
  at::parallel_for(0, (count + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      f(chunk, chunk * kChunk, std::min(kChunk, count - chunk * kChunk));
  });
}

template <typename T>
RoundingSteps<T> as(const RoundingSteps<double>& steps) {
  return {static_cast<T>(steps.step), static_cast<T>(steps.low), static_cast<T>(steps.high)};
}

template <typename T>
void forward_of(const at::Tensor& x, const at::Tensor& y, const RoundingSteps<double>& steps) {
  const T* from = x.data_ptr<T>();
  T* to = y.data_ptr<T>();
  for_chunks(x, [&](int64_t, int64_t first, int64_t count) {
    rounding_kernels<T>().forward(from + first, to + first, count, as<T>(steps));
  });
}

template <typename T>
double backward_of(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& dx,
                   const RoundingSteps<double>& steps) {
  const T* value = x.data_ptr<T>();
  const T* gradient = dy.data_ptr<T>();
  T* to = dx.data_ptr<T>();
  std::vector<double> parts(static_cast<size_t>((x.numel() + kChunk - 1) / kChunk), 0.0);
  for_chunks(x, [&](int64_t chunk, int64_t first, int64_t count) {
    parts[static_cast<size_t>(chunk)] = rounding_kernels<T>().backward(
        value + first, gradient + first, to + first, count, as<T>(steps));
  });
  double sum = 0.0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace

at::Tensor round_to_steps(const at::Tensor& input, const RoundingSteps<double>& steps,
                          bool in_place) {
  const at::Tensor x = channels_innermost(input);
  at::Tensor y = in_place || !x.is_same(input) ? x : at::empty_like(x);
  if (x.scalar_type() == at::kFloat) {
    forward_of<float>(x, y, steps);
  } else {
    forward_of<double>(x, y, steps);
  }
  return y;
}

RoundingGradients round_to_steps_backward(const at::Tensor& input, const at::Tensor& gradient,
                                          const RoundingSteps<double>& steps) {
  const at::Tensor x = channels_innermost(input);
  const at::Tensor dy = channels_innermost(gradient);
  RoundingGradients gradients{at::empty_like(x)};
  gradients.step = x.scalar_type() == at::kFloat ? backward_of<float>(x, dy, gradients.x, steps)
                                                 : backward_of<double>(x, dy, gradients.x, steps);
  return gradients;
}

}  // namespace lathe::supernet
