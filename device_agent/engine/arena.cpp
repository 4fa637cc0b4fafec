#include <algorithm>
#include <numeric>

#include "device_agent/engine/execution_plan.h"

namespace lathe::device {

namespace {

constexpr int64_t kAlignment = 64;
// Kernels may read (never write) this far past the end of a tensor; newer XNNPACK versions read up
// to 128 bytes.
constexpr int64_t kOverrun = 128;

int64_t padded_bytes(const PlanBuffer& buffer) {
  const int64_t bytes = buffer.bytes + kOverrun;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool overlap(const PlanBuffer& a, const PlanBuffer& b) {
  return a.first_step <= b.last_step && b.first_step <= a.last_step;
}

}  // namespace

int64_t place_buffers(std::vector<PlanBuffer>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<size_t> placed;  // by arena offset
  int64_t arena = 0;
  for (const size_t index : order) {
    const int64_t bytes = padded_bytes(buffers[index]);
    int64_t offset = 0;
    for (const size_t other : placed) {
      if (!overlap(buffers[index], buffers[other])) continue;
      if (buffers[other].arena_offset - offset >= bytes) break;
      offset = std::max(offset, buffers[other].arena_offset + padded_bytes(buffers[other]));
    }
    buffers[index].arena_offset = offset;
    arena = std::max(arena, offset + bytes);
    const auto place = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](int64_t value, size_t other) { return value < buffers[other].arena_offset; });
    placed.insert(place, index);
  }
  return arena;
}

}  // namespace lathe::device
