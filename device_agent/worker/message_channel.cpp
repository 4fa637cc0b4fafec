#include "device_agent/worker/message_channel.h"

#include <google/protobuf/message_lite.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/clock.h"

namespace lathe::device {

namespace {

constexpr size_t kPrefixBytes = 4;

int poll_timeout_ms(double deadline_s) {
  if (std::isinf(deadline_s)) return -1;
  const double left_ms = std::ceil(1e3 * (deadline_s - steady_clock().now_s()));
  return static_cast<int>(std::clamp(left_ms, 0.0, 1e9));
}

}  // namespace

MessageChannel::Status MessageChannel::wait(short events, double deadline_s, int wake) const {
  std::array<pollfd, 2> watched{pollfd{descriptor_.get(), events, 0}, pollfd{wake, POLLIN, 0}};
  while (true) {
    const int ready = ::poll(watched.data(), wake >= 0 ? 2 : 1, poll_timeout_ms(deadline_s));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Status::Closed;
    if (ready == 0) return Status::TimedOut;
    if (wake >= 0 && watched[1].revents != 0) return Status::Woken;
    return Status::Done;  // readable, writable or closed: the next call tells
  }
}

MessageChannel::Status MessageChannel::send(const google::protobuf::MessageLite& message,
                                            double deadline_s, int wake) {
  const size_t size = message.ByteSizeLong();
  if (size > kMaxBytes) return Status::Malformed;
  std::string bytes(kPrefixBytes, '\0');
  for (size_t i = 0; i < kPrefixBytes; ++i) bytes[i] = static_cast<char>((size >> (8 * i)) & 0xFF);
  if (!message.AppendToString(&bytes)) return Status::Malformed;
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(descriptor_.get(), bytes.data() + sent, bytes.size() - sent,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<size_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      const Status status = wait(POLLOUT, deadline_s, wake);
      if (status != Status::Done) return status;
    } else if (errno != EINTR) {
      return Status::Closed;
    }
  }
  return Status::Done;
}

MessageChannel::Status MessageChannel::read_exactly(size_t bytes, double deadline_s, int wake) {
  // Grows with what arrives, so that a false length alone takes no memory.
  constexpr size_t kStep = size_t{1} << 20;
  size_t have = buffer_.size();
  while (have < bytes) {
    buffer_.resize(std::min(bytes, have + kStep));
    const ssize_t count =
        ::recv(descriptor_.get(), buffer_.data() + have, buffer_.size() - have, MSG_DONTWAIT);
    const int error = errno;
    if (count > 0) have += static_cast<size_t>(count);
    buffer_.resize(have);
    if (count > 0) continue;
    if (count == 0) return Status::Closed;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      const Status status = wait(POLLIN, deadline_s, wake);
      if (status != Status::Done) return status;
    } else if (error != EINTR) {
      return Status::Closed;
    }
  }
  return Status::Done;
}

MessageChannel::Status MessageChannel::receive(google::protobuf::MessageLite& message,
                                               double deadline_s, int wake) {
  buffer_.clear();
  Status status = read_exactly(kPrefixBytes, deadline_s, wake);
  if (status != Status::Done) return status;
  size_t size = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i)
    size |= static_cast<size_t>(static_cast<uint8_t>(buffer_[i])) << (8 * i);
  if (size > kMaxBytes) return Status::Malformed;
  status = read_exactly(kPrefixBytes + size, deadline_s, wake);
  if (status != Status::Done) return status;
  const bool parsed = message.ParseFromArray(buffer_.data() + kPrefixBytes, static_cast<int>(size));
  std::string().swap(buffer_);
  return parsed ? Status::Done : Status::Malformed;
}

}  // namespace lathe::device
