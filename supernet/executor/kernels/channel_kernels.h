#pragma once

#include <cstdint>

namespace lathe::supernet {

/// Activations that the kernels apply themselves; the others run as LibTorch operators afterwards.
enum class KernelActivation { Clamp, HardSwish, HardSigmoid };

/// What an activation needs: y = clamp(z, low, high) for Clamp (identity, relu, relu6).
struct ActivationBounds {
  KernelActivation kind = KernelActivation::Clamp;
  double low = 0.0;
  double high = 0.0;
};

/// act(x * scale + shift) of every channel: batch norm with known statistics, and its activation.
/// `scale` null: x as it is.
template <typename T>
struct ChannelMap {
  const T* scale = nullptr;
  const T* shift = nullptr;
  ActivationBounds act;
};

/// Row-wise kernels over a dense matrix [rows, width] whose columns repeat the channels of an NHWC
/// tensor: the caller may see k pixels of C channels as one row of width k * C, so that small C
/// still fill the vectors. Per-column arrays have `width` elements. One table for each instruction
/// set; see channel_kernels().
template <typename T>
struct ChannelKernels {
  /// sum[j] += sum of (x[i, j] - origin[j]) over the rows; square[j] likewise of its square.
  void (*moments)(const T* x, int64_t rows, int64_t width, const T* origin, double* sum,
                  double* square);
  /// y = act(x * scale + shift). y may be x.
  void (*affine)(const T* x, T* y, int64_t rows, int64_t width, const T* scale, const T* shift,
                 const ActivationBounds& act);
  /// With dz = dy * act'(x * scale + shift): sum[j] += sum of dz, product[j] += sum of dz * (x -
  /// mean[j]).
  void (*backward_sums)(const T* x, const T* dy, int64_t rows, int64_t width, const T* scale,
                        const T* shift, const T* mean, const ActivationBounds& act, double* sum,
                        double* product);
  /// dx = dz * scale + x * slope + offset, with dz as above. dx may be dy.
  void (*backward_data)(const T* x, const T* dy, T* dx, int64_t rows, int64_t width, const T* scale,
                        const T* shift, const T* slope, const T* offset,
                        const ActivationBounds& act);
};

/// Returns the fastest table that this processor runs.
template <typename T>
const ChannelKernels<T>& channel_kernels();

namespace kernels_baseline {
extern const ChannelKernels<float> kFloat;
extern const ChannelKernels<double> kDouble;
}  // namespace kernels_baseline
#if defined(__x86_64__)
namespace kernels_avx2 {
extern const ChannelKernels<float> kFloat;
extern const ChannelKernels<double> kDouble;
}  // namespace kernels_avx2
namespace kernels_avx512 {
extern const ChannelKernels<float> kFloat;
extern const ChannelKernels<double> kDouble;
}  // namespace kernels_avx512
#endif

}  // namespace lathe::supernet
