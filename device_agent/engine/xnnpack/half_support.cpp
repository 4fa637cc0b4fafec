#include <pthreadpool.h>

#include <algorithm>
#include <vector>

#include "device_agent/engine/engine.h"
#include "device_agent/engine/xnnpack/half_operators.h"

namespace lathe::device::xnn::half {

namespace {

struct Shuffle {
  size_t groups;
  Image input;
  Image output;
};

void shuffle(const Shuffle& task, size_t first, size_t pixels) {
  const size_t size = task.input.channels / task.groups;
  for (size_t p = first; p < first + pixels; ++p) {
    const HalfBits* from = task.input.halves() + p * task.input.stride;
    HalfBits* to = task.output.halves() + p * task.output.stride;
    for (size_t i = 0; i < size; ++i) {
      for (size_t g = 0; g < task.groups; ++g) *to++ = from[g * size + i];
    }
  }
}

// Release 2024-11 has a kernel for AVX512-FP16 that computes something else from 64 outputs on.
bool computes_convolutions() {
  constexpr size_t kInputs = 8;
  constexpr size_t kOutputs = 200;
  BoundKernel kernel(nullptr);
  const auto pixel = [&](size_t channels) {
    return Image{kernel.scratch(channels * sizeof(HalfBits)), 1, 1, channels, channels, {}, true};
  };
  const Image input = pixel(kInputs);
  const Image output = pixel(kOutputs);
  std::vector<float> weight;
  std::vector<float> expected(kOutputs, 0.0F);
  for (size_t i = 0; i < kInputs; ++i) input.halves()[i] = to_half(static_cast<float>(i) - 3.0F);
  for (size_t o = 0; o < kOutputs; ++o) {
    for (size_t i = 0; i < kInputs; ++i) {
      weight.push_back(static_cast<float>((7 * o + 3 * i) % 11));  // sums are exact in fp16
      expected[o] += weight.back() * (static_cast<float>(i) - 3.0F);
    }
  }
  half::convolution(kernel, {}, 1, weight.data(), nullptr, {-1e4F, 1e4F}, input, output);
  kernel.run();
  for (size_t o = 0; o < kOutputs; ++o) {
    if (from_half(output.halves()[o]) != expected[o]) return false;
  }
  return true;
}

}  // namespace

bool supported() {
  static const bool known = [] {
    try {
      initialize();
      return computes_convolutions();
    } catch (const EngineError&) {
      return false;
    }
  }();
  return known;
}

Image float_scratch(BoundKernel& kernel, const Image& like) {
  Image image = like;
  image.data = kernel.scratch(like.pixels() * like.channels * sizeof(float));
  image.stride = like.channels;
  image.half = false;
  return image;
}

// XNNPACK shuffles elements of one and of four bytes.
void channel_shuffle(BoundKernel& kernel, size_t groups, const Image& input, const Image& output) {
  kernel.add([task = Shuffle{groups, input, output}](pthreadpool* pool) {
    constexpr size_t kTileHalves = 4096;
    const auto run = [](void* argument, size_t first, size_t pixels) {
      shuffle(*static_cast<const Shuffle*>(argument), first, pixels);
    };
    const size_t tile = std::max<size_t>(1, kTileHalves / task.input.channels);
    pthreadpool_parallelize_1d_tile_1d(pool, run, const_cast<Shuffle*>(&task), task.input.pixels(),
                                       tile, 0);
  });
}

}  // namespace lathe::device::xnn::half
