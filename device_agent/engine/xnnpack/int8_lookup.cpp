#include <pthreadpool.h>

#include <algorithm>
#include <array>

#include "device_agent/engine/xnnpack/int8_operators.h"

namespace lathe::device::xnn {

namespace {

using network::ActivationKind;

/// By the byte of the input.
using Table = std::array<int8_t, 256>;

struct Lookup {
  Table table;
  Image input;
  Image output;
};

void look_up(const Lookup* lookup, size_t first, size_t pixels) {
  const int8_t* const table = lookup->table.data();
  const size_t channels = lookup->input.channels;
  for (size_t p = first; p < first + pixels; ++p) {
    const int8_t* from = lookup->input.integers() + p * lookup->input.stride;
    int8_t* to = lookup->output.integers() + p * lookup->output.stride;
    for (size_t c = 0; c < channels; ++c) to[c] = table[static_cast<uint8_t>(from[c])];
  }
}

}  // namespace

Int8Clamp int8_clamp(const network::TensorScale& scale, Clamp limits) {
  Int8Clamp result{scale.quantize(limits.low), scale.quantize(limits.high)};
  // XNNPACK takes no range of one value, which a relu whose output is always zero has; one step
  // below is let through then.
  if (result.low == result.high) {
    result.low == -128 ? ++result.high : --result.low;
  }
  return result;
}

void lookup(BoundKernel& kernel, ActivationKind kind, const Image& input, const Image& output) {
  Lookup made{{}, input, output};
  for (int value = -128; value < 128; ++value) {
    const float x = input.scale.dequantize(static_cast<int8_t>(value));
    made.table[static_cast<uint8_t>(value)] = output.scale.quantize(network::activate(kind, x));
  }
  kernel.add([made](pthreadpool* pool) {
    constexpr size_t kTileBytes = 4096;
    const size_t tile = std::max<size_t>(1, kTileBytes / made.input.channels);
    const auto run = [](void* lookup, size_t first, size_t pixels) {
      look_up(static_cast<const Lookup*>(lookup), first, pixels);
    };
    pthreadpool_parallelize_1d_tile_1d(pool, run, const_cast<Lookup*>(&made), made.input.pixels(),
                                       tile, 0);
  });
}

}  // namespace lathe::device::xnn
