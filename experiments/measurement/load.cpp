#include "experiments/measurement/load.h"

#include <sched.h>

#include <cmath>

#include "core/clock.h"

namespace lathe::study {
namespace {

constexpr size_t kStreamFloats = 4 << 20;  // 16 MB a thread: beyond its share of the last cache
constexpr size_t kTile = 96;

void bind_to(int core) {
  if (core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  sched_setaffinity(0, sizeof set, &set);
}

/// A small matrix product, as of a convolution, and a pass over a slice of a large buffer, as of an
/// activation.
void work_once(std::vector<float>& matrix, std::vector<float>& stream, size_t& position) {
  float* c = matrix.data();
  const float* a = c + kTile * kTile;
  const float* b = a + kTile * kTile;
  for (size_t i = 0; i < kTile; ++i) {
    for (size_t k = 0; k < kTile; ++k) {
      const float factor = a[i * kTile + k];
      for (size_t j = 0; j < kTile; ++j)
        c[i * kTile + j] = 0.5F * c[i * kTile + j] + factor * b[k * kTile + j];
    }
  }
  const size_t end = position + kStreamFloats / 64;
  for (size_t i = position; i < end; ++i) stream[i] = 0.5F * stream[i] + 1.0F;
  position = end % kStreamFloats;
}

}  // namespace

Load::Load(const std::vector<int>& cores, double burst_s) {
  for (const int core : cores) {
    threads_.emplace_back([this, core, burst_s] {
      bind_to(core);
      std::vector<float> matrix(3 * kTile * kTile, 0.25F);
      std::vector<float> stream(kStreamFloats, 1.0F);
      size_t position = 0;
      const double start_s = steady_clock().now_s();
      while (!stop_) {
        const double now_s = steady_clock().now_s() - start_s;
        if (burst_s > 0.0 && std::fmod(now_s, 2.0 * burst_s) >= burst_s) {
          steady_clock().sleep_s(0.01);
          continue;
        }
        work_once(matrix, stream, position);
        ++work_;
      }
    });
  }
}

Load::~Load() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace lathe::study
