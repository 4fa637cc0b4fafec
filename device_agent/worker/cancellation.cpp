#include "device_agent/worker/cancellation.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "core/error.h"

namespace lathe::device {

Cancellation::Cancellation() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.valid())
    throw DeviceError("Cancellation: eventfd failed, expected a free descriptor");
}

void Cancellation::cancel() {
  if (cancelled_.exchange(true)) return;
  const uint64_t one = 1;
  // A counter of 0 takes a 1 without blocking; nothing else writes it.
  [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
}

}  // namespace lathe::device
