#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "core/file_descriptor.h"

namespace google::protobuf {
class MessageLite;
}

namespace lathe::device {

/// Length-prefixed protobuf messages over one end of a stream socket. Not thread-safe.
class MessageChannel {
 public:
  enum class Status {
    Done,       ///< the whole message was sent or received
    Closed,     ///< the other end is gone
    TimedOut,   ///< the deadline passed
    Woken,      ///< the wake descriptor became readable
    Malformed,  ///< not a message, or longer than the limit
  };

  static constexpr size_t kMaxBytes = size_t{256} << 20;

  /// Takes the descriptor.
  explicit MessageChannel(FileDescriptor descriptor) : descriptor_(std::move(descriptor)) {}

  /// `deadline_s` is on steady_clock(); infinity waits for ever. `wake` is a descriptor to watch
  /// besides, or -1.
  Status send(const google::protobuf::MessageLite& message, double deadline_s, int wake = -1);
  Status receive(google::protobuf::MessageLite& message, double deadline_s, int wake = -1);

 private:
  Status wait(short events, double deadline_s, int wake) const;
  Status read_exactly(size_t bytes, double deadline_s, int wake);

  FileDescriptor descriptor_;
  std::string buffer_;
};

}  // namespace lathe::device
