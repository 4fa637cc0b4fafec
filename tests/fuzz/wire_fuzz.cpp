#include "tests/fuzz/wire_fuzz.h"

#include <google/protobuf/stubs/logging.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "core/clock.h"
#include "core/file_descriptor.h"
#include "device_agent/service/wire.h"
#include "device_agent/worker/message_channel.h"
#include "latency/fleet/mdns_message.h"
#include "latency/fleet/wire.h"
#include "latency/measurement/session.h"
#include "lathe/internal/worker.pb.h"
#include "lathe/v1/device_agent.pb.h"

namespace {

using namespace lathe;

// What protobuf cannot parse counts as empty.
template <typename Message>
Message parsed(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) message.Clear();
  return message;
}

void feed_plan(const std::string& bytes) {
  const auto plan = device::from_wire(parsed<v1::MeasurementPlan>(bytes));
  if (!plan) return;
  latency::SessionOptions options;
  options.plan = *plan;
  options.reference_s = 1e-3;
  const latency::MeasurementSession session(options);  // throws for a plan that cannot be
}

void feed_result(const std::string& bytes) {
  const auto estimate = latency::wire::estimate_of(parsed<v1::LatencyResult>(bytes), "agent");
  if (!estimate) return;
  // What was accepted can be kept, and passed on.
  const auto kept = latency::latency_estimate_from_json(latency::to_json(*estimate));
  if (!latency::wire::estimate_of(device::to_wire(kept), "agent")) std::abort();
}

void feed_worker(const std::string& bytes) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  FileDescriptor writing(ends[0]);
  auto channel = std::make_unique<device::MessageChannel>(FileDescriptor(ends[1]));
  std::thread writer([&] {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count = ::send(ends[0], bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<size_t>(count);
    }
    ::shutdown(ends[0], SHUT_WR);
  });
  internal::WorkerEvent event;
  auto status = device::MessageChannel::Status::Done;
  while (status == device::MessageChannel::Status::Done) {
    status = channel->receive(event, steady_clock().now_s() + 10.0);
  }
  channel.reset();  // a writer that nobody reads from ends
  writer.join();
  if (status != device::MessageChannel::Status::Closed &&
      status != device::MessageChannel::Status::Malformed) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  google::protobuf::SetLogHandler(nullptr);
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (static_cast<WireInput>(data[0] % static_cast<uint8_t>(WireInput::Count))) {
    case WireInput::Plan:
      feed_plan(bytes);
      break;
    case WireInput::Result:
      feed_result(bytes);
      break;
    case WireInput::Description:
      latency::wire::description_of(parsed<v1::DescribeResponse>(bytes), "agent");
      break;
    case WireInput::Failure:
      latency::wire::failure_of(parsed<v1::JobFailure>(bytes), "agent");
      break;
    case WireInput::Worker:
      feed_worker(bytes);
      break;
    case WireInput::Discovery:
      latency::mdns::decode_response(bytes);
      break;
    case WireInput::Count:
      break;
  }
  return 0;
}
