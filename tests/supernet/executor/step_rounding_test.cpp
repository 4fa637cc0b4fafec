#include "supernet/executor/step_rounding.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "supernet/executor/compute.h"
#include "tests/supernet/seeded_tensor.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

/// Values on both sides of the range, halves, and what is no number.
at::Tensor values_around(int64_t count, double step, at::ScalarType type) {
  at::Tensor x = test::normal({count}, 3, type) * (60.0 * step);
  for (int64_t i = 0; i < count; i += 7) x[i] = std::round(x[i].item<double>() / step) * step + step / 2.0;
  if (count > 2) x[1] = std::numeric_limits<double>::infinity();
  if (count > 3) x[2] = -std::numeric_limits<double>::infinity();
  return x;
}

template <typename T>
void check(const RoundingKernels<T>& kernels) {
  const at::ScalarType type = sizeof(T) == sizeof(float) ? at::kFloat : at::kDouble;
  const RoundingSteps<T> steps = {T(0.25), T(-28), T(227)};
  for (const int64_t count : {0, 1, 63, 64, 65, 4096, 4103, 8260}) {
    CAPTURE(count);
    const at::Tensor x = values_around(count, 0.25, type);
    const at::Tensor y = at::empty_like(x);
    kernels.forward(x.data_ptr<T>(), y.data_ptr<T>(), count, steps);
    const at::Tensor integers = (x / 0.25).round().clamp(-28.0, 227.0);
    CHECK(at::equal(y, integers * 0.25));

    const at::Tensor finite = x.clamp(-1000.0, 1000.0);
    const at::Tensor dy = test::normal({count}, 4, type);
    at::Tensor dx = at::empty_like(x);
    const double sum = kernels.backward(finite.data_ptr<T>(), dy.data_ptr<T>(), dx.data_ptr<T>(), count, steps);
    const at::Tensor v = finite / 0.25;
    const at::Tensor inside = v.ge(-28.0).logical_and(v.le(227.0)).to(type);
    CHECK(at::equal(dx, dy * inside));
    const at::Tensor terms = (dy * (integers - v * inside)).to(at::kDouble);
    CHECK(std::abs(sum - terms.sum().item<double>()) <= 1e-6 * terms.abs().sum().item<double>());
    at::Tensor in_place = dy.clone();
    kernels.backward(finite.data_ptr<T>(), in_place.data_ptr<T>(), in_place.data_ptr<T>(), count, steps);
    CHECK(at::equal(in_place, dx));
  }
  const T nan = std::numeric_limits<T>::quiet_NaN();
  T y = 0;
  kernels.forward(&nan, &y, 1, steps);
  CHECK(std::isnan(y));
}

}  // namespace

TEST_CASE("Every instruction set that runs here rounds as LibTorch's operators do") {
  check(kernels_baseline::kRoundingFloat);
  check(kernels_baseline::kRoundingDouble);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    check(kernels_avx2::kRoundingFloat);
    check(kernels_avx2::kRoundingDouble);
  }
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    check(kernels_avx512::kRoundingFloat);
    check(kernels_avx512::kRoundingDouble);
  }
#endif
}

TEST_CASE("Rounding and its gradients depend on neither threads nor the format in memory") {
  const at::Tensor x = test::normal({3, 20, 61, 37}, 5, at::kFloat);  // several chunks, none full at the end
  const at::Tensor dy = test::normal({3, 20, 61, 37}, 6, at::kFloat);
  const RoundingSteps<double> steps = {0.01, -128.0, 127.0};
  const auto run = [&](int threads, const at::Tensor& gradient) {
    const ComputeScope scope(threads);
    return round_to_steps_backward(x, gradient, steps);
  };
  const RoundingGradients alone = run(1, dy);
  const RoundingGradients both = run(2, dy.contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(alone.step == both.step);
  CHECK(at::equal(alone.x, both.x));
  const at::Tensor y = round_to_steps(x, steps, false);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(at::allclose(y, (x / 0.01).round().clamp(-128.0, 127.0) * 0.01, 1e-6, 1e-7));
  at::Tensor same = x.contiguous(at::MemoryFormat::ChannelsLast).clone();
  CHECK(round_to_steps(same, steps, true).is_same(same));
  CHECK(at::equal(same, y));
}
