#include "supernet/executor/compute.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "supernet/executor/memory_pool.h"

namespace lathe::supernet {

at::Device select_device(const std::string& name) {
  if (name == "cpu" || (name == "auto" && !at::hasCUDA())) return at::Device(at::kCPU);
  if (!at::hasCUDA())
    throw ConfigError("/supernet/device = cuda, expected cpu or auto: this LibTorch has no CUDA");
  return at::Device(at::kCUDA, 0);
}

int usable_threads(int threads) {
  if (threads > 0) return threads;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ComputeScope::ComputeScope(int threads) : previous_threads_(at::get_num_threads()) {
  install_memory_pool();
  at::set_num_threads(usable_threads(threads));
  at::globalContext().setFlushDenormal(true);  // of this thread; the workers each set their own
  at::parallel_for(0, at::get_num_threads(), 1,
                   [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
}

ComputeScope::~ComputeScope() {
  at::globalContext().setFlushDenormal(false);
  at::set_num_threads(previous_threads_);
}

}  // namespace lathe::supernet
