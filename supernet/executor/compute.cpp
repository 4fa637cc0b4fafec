#include "supernet/executor/compute.h"

#include <sched.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include <ATen/detail/CUDAHooksInterface.h>
#include <algorithm>
#include <thread>

#include "core/error.h"
#include "supernet/executor/memory_pool.h"

namespace lathe::supernet {

at::Device select_device(const std::string& name, int index) {
  if (name == "cpu" || (name == "auto" && !at::hasCUDA())) return at::Device(at::kCPU);
  if (!at::hasCUDA())
    throw ConfigError("/supernet/device = cuda, expected cpu or auto: this LibTorch has no CUDA");
  const int count = at::detail::getCUDAHooks().getNumGPUs();
  if (index >= count) {
    throw ConfigError("environment: local rank = " + std::to_string(index) +
                      ", expected less than the " + std::to_string(count) +
                      " GPUs; start fewer processes on this machine");
  }
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

namespace {

bool cpu_has_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#elif defined(__aarch64__) && defined(HWCAP2_BF16)
  return (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
#else
  return false;
#endif
}

bool gpu_has_bf16(at::Device device) {
  try {
    const at::Tensor ones = at::ones({8, 8}, at::TensorOptions(device).dtype(at::kBFloat16));
    return at::matmul(ones, ones).sum().item<double>() == 512.0;
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

void require_precision(Precision precision, at::Device device) {
  if (precision == Precision::Fp32) return;
  if (device.is_cpu() ? cpu_has_bf16() : gpu_has_bf16(device)) return;
  throw ConfigError(std::string("/supernet/precision = bf16, expected fp32: this ") +
                    (device.is_cpu() ? "CPU" : "GPU") + " has no bf16");
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
