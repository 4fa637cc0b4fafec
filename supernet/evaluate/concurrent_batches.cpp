#include "supernet/evaluate/concurrent_batches.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "supernet/executor/compute.h"

namespace lathe::supernet {

ConcurrentBatches::ConcurrentBatches(const BatchSpan& span, int64_t bytes, int64_t memory_bytes,
                                     at::Device device)
    : span_(span), threads_(at::get_num_threads()) {
  const int64_t fitting = memory_bytes / std::max<int64_t>(1, bytes);
  const int64_t useful = std::min<int64_t>(threads_, span.end - span.begin);
  const bool divided = device.is_cpu() && std::min(useful, fitting) > 1;
  workers_ = divided ? static_cast<int>(std::min(useful, fitting)) : 1;
}

void ConcurrentBatches::run(const BatchDone& done,
                            const std::function<void(int worker, int64_t batch)>& work) const {
  if (workers_ == 1) {
    const at::NoGradGuard no_gradients;
    for (int64_t batch = span_.begin; batch < span_.end; ++batch) {
      work(0, batch);
      done();
    }
    return;
  }
  std::atomic<int64_t> next{span_.begin};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto worker = [&](int index) {
    try {
      const ComputeScope compute(threads_ / workers_ + (index < threads_ % workers_ ? 1 : 0));
      const at::NoGradGuard no_gradients;
      for (int64_t batch = next++; batch < span_.end; batch = next++) {
        work(index, batch);
        const std::lock_guard<std::mutex> lock(mutex);
        done();
      }
    } catch (...) {
      next = span_.end;
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int index = 0; index < workers_; ++index) threads.emplace_back(worker, index);
  for (std::thread& thread : threads) thread.join();
  at::set_num_threads(threads_);  // LibTorch gives new threads what was set last, by any thread
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lathe::supernet
