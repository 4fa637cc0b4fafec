#include "tests/device_agent/service/agent_fixture.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "core/file.h"
#include "network/onnx.h"

namespace lathe::device::testing {

HeldLease::HeldLease(v1::DeviceAgent::Stub& stub, const std::string& token, double timeout_s) {
  if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
  v1::AcquireRequest request;
  request.set_controller("test");
  request.set_timeout_s(timeout_s);
  stream_ = stub.Acquire(&context_, request);
}

bool HeldLease::wait() {
  v1::AcquireResponse message;
  while (stream_->Read(&message)) {
    if (!message.has_granted()) continue;
    lease_ = message.granted();
    return true;
  }
  return false;
}

grpc::Status HeldLease::end() {
  if (ended_) return grpc::Status::OK;
  ended_ = true;
  context_.TryCancel();
  v1::AcquireResponse message;
  while (stream_->Read(&message)) {
  }
  return stream_->Finish();
}

AgentFixture::AgentFixture(const ServerOptions& options, double grace_s,
                           const std::filesystem::path& board_root) {
  // Signals of a crashing worker are to be seen, not to be reported by the sanitizer.
  if (!kMemoryLimitsWork) ::setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0", 1);
  add_engines(engines_);
  add_test_engines(engines_);
  settings_.engines = &engines_;
  settings_.worker.program = std::string(LATHE_BINARY_DIR) + "/bin/lathe-test-agent";
  settings_.worker.arguments = {"lathe-test-agent", "--worker"};
  settings_.board_root = board_root;
  settings_.board = read_board(board_root);
  settings_.energy = choose_energy_source(board_root, "");
  settings_.usable_cores = {0};
  settings_.grace_s = grace_s;
  settings_.memory_limit_bytes = int64_t{256} << 20;
  server_ = std::make_unique<AgentServer>(settings_, options);
  stub_ = v1::DeviceAgent::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
}

std::string AgentFixture::upload(const std::string& bytes) {
  const std::string sha256 = sha256_hex(bytes);
  grpc::ClientContext context;
  v1::UploadModelResponse response;
  auto stream = stub_->UploadModel(&context, &response);
  constexpr size_t kChunk = 10000;
  for (size_t begin = 0; begin < bytes.size(); begin += kChunk) {
    v1::UploadModelRequest request;
    if (begin == 0) request.set_sha256(sha256);
    request.set_chunk(bytes.substr(begin, kChunk));
    REQUIRE(stream->Write(request));
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  REQUIRE_MESSAGE(status.ok(), status.error_message());
  REQUIRE(response.size_bytes() == static_cast<int64_t>(bytes.size()));
  return sha256;
}

Measured AgentFixture::measure(const v1::MeasureRequest& request,
                               const std::function<void()>& on_progress) {
  grpc::ClientContext context;
  auto stream = stub_->Measure(&context, request);
  Measured measured;
  v1::MeasureResponse message;
  while (stream->Read(&message)) {
    if (message.has_progress()) {
      ++measured.progress;
      if (on_progress) on_progress();
    }
    if (message.has_result()) measured.result = message.result();
    if (message.has_failure()) measured.failure = message.failure();
  }
  measured.status = stream->Finish();
  return measured;
}

v1::MeasureRequest AgentFixture::quick_request(const v1::Lease& lease, const std::string& job_id,
                                               const std::string& sha256,
                                               const std::string& engine) {
  v1::MeasureRequest request;
  request.set_job_id(job_id);
  request.set_lease_id(lease.id());
  request.set_fencing_token(lease.fencing_token());
  request.set_model_sha256(sha256);
  request.mutable_options()->set_engine(engine);
  request.mutable_options()->set_threads(1);
  request.mutable_plan()->set_target_half_width(0.5);
  request.mutable_plan()->set_budget_s(0.3);
  request.mutable_plan()->set_min_blocks(4);
  request.mutable_plan()->set_max_blocks(8);
  request.mutable_plan()->set_processes(2);
  return request;
}

std::string small_model(uint64_t seed) {
  network::Network net;
  const network::NodeId image = net.add_input("image", {1, 3, 8, 8});
  network::Conv2d conv;
  conv.out_channels = 4;
  conv.kernel = 3;
  conv.padding = 1;
  conv.bias = true;
  const network::NodeId features = net.add("conv", conv, {image});
  const network::NodeId mean = net.add("mean", network::GlobalAveragePool{}, {features});
  const network::NodeId flat = net.add("flat", network::Flatten{}, {mean});
  network::Linear head;
  head.out_features = 5;
  net.add("head", head, {flat});
  return network::to_onnx_without_weights(net, seed);
}

std::vector<int> child_processes() {
  std::vector<int> children;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (int child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

}  // namespace lathe::device::testing
