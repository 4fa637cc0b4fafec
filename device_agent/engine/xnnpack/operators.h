#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device_agent/engine/half.h"
#include "network/quantization.h"

struct pthreadpool;
struct xnn_operator;

namespace lathe::device::xnn {

/// An image in memory, channels last: `stride` elements from pixel to pixel. Elements are floats,
/// halves or, in int8 kernels, int8 at `scale`.
struct Image {
  void* data = nullptr;
  size_t height = 1;
  size_t width = 1;
  size_t channels = 0;
  size_t stride = 0;
  network::TensorScale scale;
  bool half = false;
  float* floats() const { return static_cast<float*>(data); }
  HalfBits* halves() const { return static_cast<HalfBits*>(data); }
  int8_t* integers() const { return static_cast<int8_t*>(data); }
  size_t pixels() const { return height * width; }
};

struct Clamp {
  float low;
  float high;
};

struct Window {
  uint32_t kernel = 1;
  uint32_t stride = 1;
  uint32_t padding = 0;
};

struct OperatorDeleter {
  void operator()(xnn_operator* op) const;
};

/// One or a few XNNPACK operators, bound to their buffers, that together are one kernel call.
/// Move-only.
class BoundKernel {
 public:
  explicit BoundKernel(pthreadpool* pool) : pool_(pool) {}

  /// \throws EngineError Internal if XNNPACK reports a failure.
  void run() const;

  pthreadpool* pool() const { return pool_; }
  void add(xnn_operator* op) { operators_.emplace_back(op); }
  /// Runs `step` after the operators: work that XNNPACK has no operator for.
  void add(std::function<void(pthreadpool*)> step) { steps_.push_back(std::move(step)); }
  /// Returns `bytes` of 128-byte aligned scratch memory that lives as long as this object.
  void* scratch(size_t bytes);

 private:
  struct AlignedDelete {
    void operator()(std::byte* bytes) const;
  };
  pthreadpool* pool_;
  std::vector<std::unique_ptr<xnn_operator, OperatorDeleter>> operators_;
  std::vector<std::function<void(pthreadpool*)>> steps_;
  std::vector<std::unique_ptr<std::byte[], AlignedDelete>> scratch_;
};

// The kernels of the execution plan as XNNPACK operators. There is one implementation for each
// generation of XNNPACK's operator interface (operators_2022.cpp: create and set up;
// operators_2024.cpp: create, reshape and set up); CMake takes the one that fits the installed
// header. Weights are packed at once: they may be freed afterwards. All throw EngineError,
// OutOfMemory or Unsupported, with XNNPACK's status. Images of halves go to half_operators.h.

/// \throws EngineError Unsupported if XNNPACK cannot run on this machine.
void initialize();
/// Returns the release by its interface: "2022-02" or "2024-11".
const char* version();

/// `weight` is [out, kernel, kernel, in / groups]; `bias` may be null.
void convolution(BoundKernel& kernel, const Window& window, uint32_t groups, const float* weight,
                 const float* bias, Clamp clamp, const Image& input, const Image& output);
/// `weight` is [out, in]; both images are one pixel. `bias` may be null.
void fully_connected(BoundKernel& kernel, const float* weight, const float* bias, Clamp clamp,
                     const Image& input, const Image& output);
void clamp(BoundKernel& kernel, Clamp clamp, const Image& input, const Image& output);
void hard_swish(BoundKernel& kernel, const Image& input, const Image& output);
void sigmoid(BoundKernel& kernel, const Image& input, const Image& output);
void copy(BoundKernel& kernel, const Image& input, const Image& output);
void channel_shuffle(BoundKernel& kernel, size_t groups, const Image& input, const Image& output);
void max_pool(BoundKernel& kernel, const Window& window, const Image& input, const Image& output);
/// Mean over the window without the padding.
void average_pool(BoundKernel& kernel, const Window& window, const Image& input,
                  const Image& output);
void global_average_pool(BoundKernel& kernel, const Image& input, const Image& output);
/// Half-pixel centres.
void resize_bilinear(BoundKernel& kernel, const Image& input, const Image& output);
/// All images dense.
void add(BoundKernel& kernel, Clamp clamp, const Image& a, const Image& b, const Image& output);
/// All images dense; `b` has the pixels of `a` or one.
void multiply(BoundKernel& kernel, const Image& a, const Image& b, const Image& output);

}  // namespace lathe::device::xnn
