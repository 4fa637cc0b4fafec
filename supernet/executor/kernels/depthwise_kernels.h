#pragma once

#include <cstdint>

#include "supernet/executor/kernels/channel_kernels.h"

namespace lathe::supernet {

/// One image of a depthwise convolution; activations are [height, width, channels].
struct DepthwiseShape {
  int64_t channels = 0;
  int64_t height = 0, width = 0;
  int64_t kernel = 1, stride = 1, padding = 0;
  int64_t out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  /// Elements of scratch memory that every kernel needs.
  int64_t scratch() const;
};

/// Depthwise convolution of one image, sixteen channels at a time: they are copied into a padded
/// square that fits the first-level cache, and all taps read from there. `taps`: [kernel * kernel,
/// channels]. One table for each instruction set; see depthwise_kernels().
template <typename T>
struct DepthwiseKernels {
  /// Convolves before(x) and gives after(...) of the sums; both maps are done on the way, in the
  /// cache. What pads the image is zero after `before`.
  void (*forward)(const DepthwiseShape& shape, const T* x, const ChannelMap<T>& before,
                  const T* taps, const ChannelMap<T>& after, T* y, T* scratch);
  void (*backward_data)(const DepthwiseShape& shape, const T* dy, const T* taps, T* dx, T* scratch);
  /// gradient [kernel * kernel, channels] += of this image.
  void (*backward_taps)(const DepthwiseShape& shape, const T* x, const T* dy, double* gradient,
                        T* scratch);
};

/// Returns the fastest table that this processor runs.
template <typename T>
const DepthwiseKernels<T>& depthwise_kernels();

namespace kernels_baseline {
extern const DepthwiseKernels<float> kDepthwiseFloat;
extern const DepthwiseKernels<double> kDepthwiseDouble;
}  // namespace kernels_baseline
#if defined(__x86_64__)
namespace kernels_avx2 {
extern const DepthwiseKernels<float> kDepthwiseFloat;
extern const DepthwiseKernels<double> kDepthwiseDouble;
}  // namespace kernels_avx2
namespace kernels_avx512 {
extern const DepthwiseKernels<float> kDepthwiseFloat;
extern const DepthwiseKernels<double> kDepthwiseDouble;
}  // namespace kernels_avx512
#endif

}  // namespace lathe::supernet
