#include "device_agent/worker/message_channel.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <limits>
#include <thread>

#include "core/clock.h"
#include "device_agent/worker/cancellation.h"
#include "lathe/internal/worker.pb.h"

using namespace lathe;
using namespace lathe::device;
using Status = MessageChannel::Status;

namespace {

constexpr double kForEver = std::numeric_limits<double>::infinity();

struct Pair {
  Pair() {
    int descriptors[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, descriptors) == 0);
    channel = MessageChannel(FileDescriptor(descriptors[0]));
    other = FileDescriptor(descriptors[1]);
  }
  void raw(const std::string& bytes) const {
    REQUIRE(::write(other.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  MessageChannel channel{FileDescriptor()};
  FileDescriptor other;
};

}  // namespace

TEST_CASE("messages of any size arrive whole and in order") {
  Pair pair;
  MessageChannel back(std::move(pair.other));
  internal::WorkerCommand big;
  for (int i = 0; i < 1000000; ++i) big.mutable_run_images()->add_values(static_cast<float>(i));
  std::thread sender([&] {
    internal::WorkerCommand small;
    small.mutable_time_operators()->set_budget_s(1.5);
    CHECK(back.send(small, kForEver) == Status::Done);
    CHECK(back.send(big, kForEver) == Status::Done);
  });
  internal::WorkerCommand received;
  CHECK(pair.channel.receive(received, kForEver) == Status::Done);
  CHECK(received.time_operators().budget_s() == 1.5);
  CHECK(pair.channel.receive(received, kForEver) == Status::Done);
  CHECK(received.run_images().values_size() == 1000000);
  sender.join();
}

TEST_CASE("the other end closed, silent, woken or talking nonsense are told apart") {
  internal::WorkerEvent event;
  {
    Pair pair;
    pair.other.reset();
    CHECK(pair.channel.receive(event, kForEver) == Status::Closed);
    CHECK(pair.channel.send(event, kForEver) == Status::Closed);
  }
  {
    Pair pair;
    pair.raw(std::string("\x05\0\0\0ab", 6));  // a message that stops in the middle
    CHECK(pair.channel.receive(event, steady_clock().now_s()) == Status::TimedOut);
    pair.other.reset();
    CHECK(pair.channel.receive(event, kForEver) == Status::Closed);
  }
  {
    Pair pair;
    Cancellation cancellation;
    cancellation.cancel();
    cancellation.cancel();
    CHECK(cancellation.cancelled());
    CHECK(pair.channel.receive(event, kForEver, cancellation.descriptor()) == Status::Woken);
  }
  {
    Pair pair;
    pair.raw("\xFF\xFF\xFF\xFF");  // 4 GiB are announced
    CHECK(pair.channel.receive(event, kForEver) == Status::Malformed);
  }
  {
    Pair pair;
    pair.raw(std::string("\x02\0\0\0\xFF\xFF", 6));
    CHECK(pair.channel.receive(event, kForEver) == Status::Malformed);
  }
}

TEST_CASE("a reader that does not read times the sender out") {
  Pair pair;
  internal::WorkerCommand big;
  for (int i = 0; i < 1000000; ++i) big.mutable_run_images()->add_values(1.0F);
  CHECK(pair.channel.send(big, steady_clock().now_s()) == Status::TimedOut);
}
