#pragma once

#include <cstdint>
#include <functional>

#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Called after every batch of a pass, by one thread at a time.
using BatchDone = std::function<void()>;

/// Some consecutive batches of a pass.
struct BatchSpan {
  int64_t begin = 0;
  int64_t end = 0;
};

/// Inference on several batches at once: operators on small images end too soon to be worth
/// dividing, whole batches are independent. The threads that the calling thread may use are divided
/// among as many workers as there are batches and memory for.
class ConcurrentBatches {
 public:
  /// `bytes`: what one batch needs; `memory_bytes`: what all workers may need together. A GPU gets
  /// one batch after the other.
  ConcurrentBatches(const BatchSpan& span, int64_t bytes, int64_t memory_bytes, at::Device device);

  int workers() const { return workers_; }

  /// Calls work(worker, batch) once for every batch, each worker's calls one after the other in a
  /// thread of its own, without gradients. What the first exception says is thrown when all have
  /// stopped.
  void run(const BatchDone& done, const std::function<void(int worker, int64_t batch)>& work) const;

 private:
  BatchSpan span_;
  int threads_;
  int workers_;
};

}  // namespace lathe::supernet
