#include "device_agent/engine/xnnpack/bound_kernel.h"

#include <cstdlib>
#include <new>

#include "device_agent/engine/engine.h"

namespace lathe::device::xnn {

namespace {

constexpr size_t kScratchAlignment = 128;

const char* status_name(xnn_status status) {
  switch (status) {
    case xnn_status_success:
      return "success";
    case xnn_status_uninitialized:
      return "uninitialized";
    case xnn_status_invalid_parameter:
      return "invalid parameter";
    case xnn_status_invalid_state:
      return "invalid state";
    case xnn_status_unsupported_parameter:
      return "unsupported parameter";
    case xnn_status_unsupported_hardware:
      return "unsupported hardware";
    case xnn_status_out_of_memory:
      return "out of memory";
    default:
      return "unknown status";
  }
}

FailureKind failure_kind(xnn_status status) {
  switch (status) {
    case xnn_status_out_of_memory:
      return FailureKind::OutOfMemory;
    case xnn_status_invalid_parameter:
    case xnn_status_unsupported_parameter:
    case xnn_status_unsupported_hardware:
      return FailureKind::Unsupported;
    default:
      return FailureKind::Internal;
  }
}

}  // namespace

void check(xnn_status status, const char* what) {
  if (status == xnn_status_success) return;
  throw EngineError(failure_kind(status),
                    std::string("XNNPACK ") + what + ": " + status_name(status));
}

void initialize() { check(xnn_initialize(nullptr), "initialisation"); }

void OperatorDeleter::operator()(xnn_operator* op) const { xnn_delete_operator(op); }

void BoundKernel::AlignedDelete::operator()(std::byte* bytes) const { std::free(bytes); }

void* BoundKernel::scratch(size_t bytes) {
  const size_t rounded = (bytes + kScratchAlignment) / kScratchAlignment * kScratchAlignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kScratchAlignment, rounded));
  if (memory == nullptr) throw std::bad_alloc();
  scratch_.emplace_back(memory);
  return memory;
}

void BoundKernel::run() const {
  for (const auto& op : operators_) {
    const xnn_status status = xnn_run_operator(op.get(), pool_);
    if (status != xnn_status_success) check(status, "run");
  }
  for (const auto& step : steps_) step(pool_);
}

}  // namespace lathe::device::xnn
