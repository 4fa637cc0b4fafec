#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/report/front_network.h"
#include "core/rng.h"

namespace lathe::support {

// The made-up world that sample_summary measures: networks with their blocks, and the truth that
// every sampled value scatters about.

/// The choices of one candidate: depth and width grow its cost.
struct Shape {
  std::vector<int64_t> depth, kernel, width;
  std::vector<double> expand;
};

Shape draw_shape(Rng& rng);
std::vector<report::Block> make_blocks(const Shape& shape);
std::string describe(const Shape& shape);
std::string encode(const Shape& shape);
/// On the device of that position in the list.
double true_latency_ms(const Shape& shape, int64_t macs, size_t device);
double true_accuracy(const Shape& shape, int64_t macs);

}  // namespace lathe::support
