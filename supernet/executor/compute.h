#pragma once

#include <string>

#include "supernet/supernet.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Returns the device named "auto" (CUDA if LibTorch has it, else the CPU), "cpu" or "cuda".
/// `index`: which GPU. \throws ConfigError if CUDA is asked for and not there, or has not so many.
at::Device select_device(const std::string& name, int index = 0);

/// \throws ConfigError if `device` cannot multiply in `precision`: a CPU that would emulate it, a
/// GPU without it.
void require_precision(Precision precision, at::Device device);

/// Returns `threads`, or all cores that this process may use for 0.
int usable_threads(int threads);

/// While it lives LibTorch runs on `threads` threads when called from this thread (it starts with
/// one, and the setting belongs to the calling thread) and treats denormal numbers as zero
/// (training makes many, each a hundred times slower). Not thread-safe.
class ComputeScope {
 public:
  explicit ComputeScope(int threads);
  ~ComputeScope();
  ComputeScope(const ComputeScope&) = delete;
  ComputeScope& operator=(const ComputeScope&) = delete;

 private:
  int previous_threads_;
};

}  // namespace lathe::supernet
