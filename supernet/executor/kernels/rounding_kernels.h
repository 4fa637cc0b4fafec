#pragma once

#include <cstdint>

namespace lathe::supernet {

/// Integers that values are rounded to: x becomes clamp(round(x / step), low, high) * step, halves
/// to the even one. `low` and `high` are whole numbers of magnitude at most 2^20.
template <typename T>
struct RoundingSteps {
  T step;
  T low;
  T high;
};

/// Rounding of arrays of `count` values. One table for each instruction set; see
/// rounding_kernels().
template <typename T>
struct RoundingKernels {
  /// y may be x.
  void (*forward)(const T* x, T* y, int64_t count, const RoundingSteps<T>& steps);
  /// dx = dy where x / step lies within [low, high], else 0. dx may be dy. Returns the sum of
  /// dy * d(rounded x)/d(step), rounding itself counting as the identity (Esser et al., 2020).
  double (*backward)(const T* x, const T* dy, T* dx, int64_t count, const RoundingSteps<T>& steps);
};

/// Returns the fastest table that this processor runs.
template <typename T>
const RoundingKernels<T>& rounding_kernels();

namespace kernels_baseline {
extern const RoundingKernels<float> kRoundingFloat;
extern const RoundingKernels<double> kRoundingDouble;
}  // namespace kernels_baseline
#if defined(__x86_64__)
namespace kernels_avx2 {
extern const RoundingKernels<float> kRoundingFloat;
extern const RoundingKernels<double> kRoundingDouble;
}  // namespace kernels_avx2
namespace kernels_avx512 {
extern const RoundingKernels<float> kRoundingFloat;
extern const RoundingKernels<double> kRoundingDouble;
}  // namespace kernels_avx512
#endif

}  // namespace lathe::supernet
