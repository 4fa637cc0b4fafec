#include "tests/support/sample_world.h"

#include <algorithm>
#include <cmath>

namespace lathe::support {
namespace {

using report::Block;

Block make_block(const std::string& stage, const std::string& family, int64_t kernel, double expand,
                 int64_t in, int64_t width, int64_t stride, int64_t resolution) {
  Block block;
  block.stage = stage;
  block.family = family;
  block.kernel = kernel;
  block.expand = expand;
  block.width = width;
  block.stride = stride;
  block.squeeze_excite = family == "mbconv" && width >= 48;
  block.activation = family == "linear" ? "" : width >= 48 ? "hard_swish" : "relu";
  block.resolution = resolution;
  const auto inner = static_cast<int64_t>(static_cast<double>(in) * expand);
  const int64_t pixels = resolution * resolution;
  if (family == "mbconv") {
    block.macs = pixels * inner * (in * stride * stride + kernel * kernel + width);
  } else {
    block.macs = pixels * kernel * kernel * in * width;
  }
  return block;
}

}  // namespace

Shape draw_shape(Rng& rng) {
  Shape shape;
  const double taste = rng.uniform();  // small and large networks are equally common
  for (int stage = 0; stage < 4; ++stage) {
    shape.depth.push_back(rng.bernoulli(taste) ? (rng.bernoulli(taste) ? 3 : 2) : 1);
    shape.kernel.push_back(rng.bernoulli(0.5 * taste) ? 5 : 3);
    shape.width.push_back((int64_t{12} << stage) +
                          (rng.bernoulli(taste) ? int64_t{4} << stage : 0));
    shape.expand.push_back(rng.bernoulli(taste) ? 6.0 : rng.bernoulli(taste) ? 4.0 : 2.0);
  }
  return shape;
}

std::vector<Block> make_blocks(const Shape& shape) {
  std::vector<Block> blocks = {make_block("stem", "conv", 3, 1.0, 1, 16, 1, 28)};
  int64_t channels = 16;
  int64_t resolution = 28;
  for (size_t stage = 0; stage < shape.depth.size(); ++stage) {
    for (int64_t i = 0; i < shape.depth[stage]; ++i) {
      const int64_t stride = i == 0 && stage > 0 ? 2 : 1;
      resolution = (resolution + stride - 1) / stride;
      blocks.push_back(make_block("stage" + std::to_string(stage + 1), "mbconv",
                                  shape.kernel[stage], shape.expand[stage], channels,
                                  shape.width[stage], stride, resolution));
      channels = shape.width[stage];
    }
  }
  blocks.push_back(make_block("head", "conv", 1, 1.0, channels, 192, 1, resolution));
  blocks.push_back(make_block("head", "linear", 1, 1.0, 192, 10, 1, 1));
  int64_t total = 0;
  for (const Block& block : blocks) total += block.macs;
  for (Block& block : blocks) {
    block.macs_share = static_cast<double>(block.macs) / static_cast<double>(total);
  }
  return blocks;
}

std::string describe(const Shape& shape) {
  std::string text = "28px";
  for (size_t s = 0; s < shape.depth.size(); ++s) {
    text += "  s" + std::to_string(s + 1) + " " + std::to_string(shape.depth[s]) + "x mbconv k" +
            std::to_string(shape.kernel[s]) + " e" +
            std::to_string(static_cast<int>(shape.expand[s])) + " w" +
            std::to_string(shape.width[s]);
  }
  return text;
}

std::string encode(const Shape& shape) {
  std::string text;
  for (size_t s = 0; s < shape.depth.size(); ++s) {
    text += (s == 0 ? "" : "-") + std::to_string(shape.depth[s] - 1) + "-" +
            std::to_string((shape.kernel[s] - 3) / 2) + "-" +
            std::to_string(static_cast<int>(shape.expand[s] / 2.0) - 1);
  }
  return text;
}

/// Devices disagree on what depth and kernels cost, so their fronts differ.
double true_latency_ms(const Shape& shape, int64_t macs, size_t device) {
  double launches = 0.0;
  double wide_kernels = 0.0;
  for (size_t s = 0; s < shape.depth.size(); ++s) {
    launches += static_cast<double>(shape.depth[s]);
    if (shape.kernel[s] == 5) wide_kernels += static_cast<double>(shape.depth[s]);
  }
  const double millions = static_cast<double>(macs) / 1e6;
  if (device == 0) return 0.06 + 0.012 * launches + 0.09 * millions + 0.01 * wide_kernels;
  return 1.1 + 0.45 * launches + 0.55 * millions + 0.6 * wide_kernels;
}

double true_accuracy(const Shape& shape, int64_t macs) {
  double kernels = 0.0;
  for (const int64_t kernel : shape.kernel) kernels += kernel == 5 ? 0.0012 : 0.0;
  return 0.915 - 0.072 * std::exp(-static_cast<double>(macs) / 1.9e6) + kernels;
}

}  // namespace lathe::support
