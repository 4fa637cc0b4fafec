#pragma once

#include <atomic>

#include "core/file_descriptor.h"

namespace lathe::device {

/// A one-way switch that also wakes a thread waiting on file descriptors. Thread-safe.
class Cancellation {
 public:
  /// \throws DeviceError if the system has no descriptors left.
  Cancellation();
  void cancel();
  bool cancelled() const { return cancelled_; }
  /// Becomes readable when cancelled.
  int descriptor() const { return event_.get(); }

 private:
  std::atomic<bool> cancelled_{false};
  FileDescriptor event_;
};

}  // namespace lathe::device
