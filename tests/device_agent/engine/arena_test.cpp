#include <doctest/doctest.h>

#include "core/rng.h"
#include "device_agent/engine/execution_plan.h"

using lathe::device::place_buffers;
using lathe::device::PlanBuffer;

namespace {

PlanBuffer buffer(int64_t floats, int first, int last) {
  PlanBuffer made;
  made.bytes = 4 * floats;
  made.first_step = first;
  made.last_step = last;
  return made;
}

}  // namespace

TEST_CASE("place_buffers lets buffers of disjoint lives share memory") {
  // 96 floats and the 128 bytes that kernels may read past the end make 512 bytes.
  std::vector<PlanBuffer> buffers{buffer(96, 0, 1), buffer(96, 1, 2), buffer(96, 2, 3)};
  CHECK(place_buffers(buffers) == 1024);
  CHECK(buffers[0].arena_offset == 0);
  CHECK(buffers[1].arena_offset == 512);
  CHECK(buffers[2].arena_offset == 0);
}

TEST_CASE("place_buffers never overlaps two buffers that are alive together") {
  lathe::Rng rng(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<PlanBuffer> buffers;
    for (int64_t n = rng.integer(1, 30); n > 0; --n) {
      const auto first = static_cast<int>(rng.integer(0, 20));
      buffers.push_back(
          buffer(rng.integer(1, 500), first, first + static_cast<int>(rng.integer(0, 6))));
    }
    const int64_t arena = place_buffers(buffers);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const int64_t end = buffers[i].arena_offset + buffers[i].bytes + 128;
      REQUIRE(buffers[i].arena_offset % 64 == 0);
      REQUIRE(end <= arena);
      for (size_t j = 0; j < i; ++j) {
        const bool together = buffers[i].first_step <= buffers[j].last_step &&
                              buffers[j].first_step <= buffers[i].last_step;
        const int64_t other_end = buffers[j].arena_offset + buffers[j].bytes + 128;
        if (together)
          REQUIRE((buffers[i].arena_offset >= other_end || buffers[j].arena_offset >= end));
      }
    }
  }
}
