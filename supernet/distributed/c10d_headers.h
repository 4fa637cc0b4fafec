#pragma once

// c10d as lathe uses it, and where LibTorch 1.13 and 2.x differ in it.

#include <torch/version.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace lathe::supernet {

// What ProcessGroupGloo and ProcessGroupNCCL derive from.
#if TORCH_VERSION_MAJOR >= 2
using ProcessGroupBase = c10d::Backend;
#else
using ProcessGroupBase = c10d::ProcessGroup;
#endif
using CollectiveWork = c10::intrusive_ptr<c10d::Work>;

}  // namespace lathe::supernet
