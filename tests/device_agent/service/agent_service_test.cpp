#include <doctest/doctest.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <thread>

#include "core/file.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/quantize.h"
#include "network/reference_networks.h"
#include "tests/device_agent/service/agent_fixture.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

ServerOptions with_token() {
  ServerOptions options;
  options.token = "0123456789abcdef";
  return options;
}

}  // namespace

TEST_CASE("the agent describes its board and engines") {
  AgentFixture agent;
  grpc::ClientContext context;
  v1::DescribeResponse response;
  REQUIRE(agent.stub().Describe(&context, {}, &response).ok());
  CHECK(response.protocol_version() == 1);
  CHECK(response.fingerprint().size() == 16);
  CHECK(response.usable_cores() == 1);
  REQUIRE(response.engines_size() > 0);
  CHECK(response.engines(0).name() == "xnnpack");
  CHECK(response.engines(0).operators_size() == 15);
  const auto& precisions = response.engines(0).precisions();
  for (const int always : {v1::PRECISION_FP32, v1::PRECISION_INT8}) {
    CHECK(std::find(precisions.begin(), precisions.end(), always) != precisions.end());
  }
  CHECK_FALSE(response.leased());
}

TEST_CASE("a call without the token, or with a wrong one, is refused") {
  AgentFixture agent(with_token());
  v1::DescribeResponse response;
  grpc::ClientContext none;
  grpc::Status status = agent.stub().Describe(&none, {}, &response);
  CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
  CHECK(status.error_message() ==
        "authorization is missing, expected metadata `authorization: Bearer TOKEN`");
  for (const char* wrong :
       {"Bearer 0123456789abcdeX", "Bearer 0123456789abcde", "0123456789abcdef", ""}) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", wrong);
    status = agent.stub().Describe(&context, {}, &response);
    CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
    CHECK(status.error_message() == "authorization is wrong, expected this agent's token");
  }
  grpc::ClientContext right;
  right.AddMetadata("authorization", "Bearer 0123456789abcdef");
  CHECK(agent.stub().Describe(&right, {}, &response).ok());
}

TEST_CASE("every method asks for the token") {
  AgentFixture agent(with_token());
  const auto refused = grpc::StatusCode::UNAUTHENTICATED;
  HeldLease lease(agent.stub());
  CHECK_FALSE(lease.wait());
  grpc::ClientContext has;
  v1::HasModelResponse present;
  CHECK(agent.stub().HasModel(&has, {}, &present).error_code() == refused);
  grpc::ClientContext up;
  v1::UploadModelResponse uploaded;
  auto upload = agent.stub().UploadModel(&up, &uploaded);
  CHECK(upload->Finish().error_code() == refused);
  CHECK(agent.measure({}).status.error_code() == refused);
  grpc::ClientContext profile;
  v1::ProfileResponse profiled;
  CHECK(agent.stub().Profile(&profile, {}, &profiled).error_code() == refused);
  grpc::ClientContext run;
  v1::RunResponse ran;
  CHECK(agent.stub().Run(&run, {}, &ran).error_code() == refused);
  HeldLease allowed(agent.stub(), "0123456789abcdef");
  CHECK(allowed.wait());
}

TEST_CASE("leases are granted in the order of asking with growing tokens") {
  AgentFixture agent;
  auto first = std::make_unique<HeldLease>(agent.stub());
  REQUIRE(first->wait());
  HeldLease second(agent.stub());
  v1::AcquireResponse message;
  REQUIRE(second.read(message));
  CHECK(message.queue_place() == 1);
  HeldLease third(agent.stub());
  REQUIRE(third.read(message));
  CHECK(message.queue_place() == 2);
  const uint64_t token = first->lease().fencing_token();
  first.reset();
  REQUIRE(second.wait());
  CHECK(second.lease().fencing_token() == token + 1);
  REQUIRE(third.read(message));
  CHECK(message.queue_place() == 1);
  second.end();
  REQUIRE(third.wait());
  CHECK(third.lease().fencing_token() == token + 2);
  CHECK(third.lease().id() != second.lease().id());
}

TEST_CASE("who holds the board or waits for it hears that the agent lives") {
  ServerOptions options;
  options.beat_s = 0.02;
  AgentFixture agent(options);
  HeldLease holder(agent.stub());
  REQUIRE(holder.wait());
  HeldLease waiting(agent.stub());
  v1::AcquireResponse message;
  REQUIRE(waiting.read(message));
  CHECK(message.queue_place() == 1);
  for (HeldLease* lease : {&holder, &waiting}) {
    for (int beat = 0; beat < 3; ++beat) {
      REQUIRE(lease->read(message));
      CHECK(message.state_case() == v1::AcquireResponse::kQueuePlace);
      CHECK(message.queue_place() == 0);
    }
  }
  holder.end();
  CHECK(waiting.wait());
}

TEST_CASE("a lease that is not granted in time ends with a deadline") {
  AgentFixture agent;
  HeldLease holder(agent.stub());
  REQUIRE(holder.wait());
  grpc::ClientContext context;
  v1::AcquireRequest request;
  request.set_timeout_s(0.05);
  auto stream = agent.stub().Acquire(&context, request);
  v1::AcquireResponse message;
  while (stream->Read(&message)) CHECK_FALSE(message.has_granted());
  const grpc::Status status = stream->Finish();
  CHECK(status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_CASE("models are kept by their hash and checked against it") {
  AgentFixture agent;
  const std::string model = small_model();
  const std::string sha256 = sha256_hex(model);
  const auto present = [&] {
    grpc::ClientContext context;
    v1::HasModelRequest request;
    request.set_sha256(sha256);
    v1::HasModelResponse response;
    REQUIRE(agent.stub().HasModel(&context, request, &response).ok());
    return response.present();
  };
  CHECK_FALSE(present());
  CHECK(agent.upload(model) == sha256);
  CHECK(present());

  const auto refuse = [&](const std::string& name, const std::string& bytes) {
    grpc::ClientContext context;
    v1::UploadModelResponse response;
    auto stream = agent.stub().UploadModel(&context, &response);
    v1::UploadModelRequest request;
    request.set_sha256(name);
    request.set_chunk(bytes);
    stream->Write(request);
    stream->WritesDone();
    const grpc::Status status = stream->Finish();
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  CHECK(refuse(sha256, "other bytes") ==
        "model: SHA-256 = " + sha256_hex("other bytes") + ", expected " + sha256);
  CHECK(refuse("../etc/passwd", "x") ==
        "sha256 = ../etc/passwd in the first message, expected 64 hexadecimal digits");
  CHECK(refuse(sha256, "") == "model: no bytes were sent");
}

TEST_CASE("a model beyond the limit is refused while it arrives") {
  ServerOptions options;
  options.max_model_bytes = 1000;
  AgentFixture agent(options);
  grpc::ClientContext context;
  v1::UploadModelResponse response;
  auto stream = agent.stub().UploadModel(&context, &response);
  v1::UploadModelRequest request;
  request.set_sha256(std::string(64, 'a'));
  request.set_chunk(std::string(600, 'x'));
  stream->Write(request);
  stream->Write(request);
  const grpc::Status status = stream->Finish();
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message() == "model: more than 1000 bytes, which is this agent's limit");
}

TEST_CASE("a measurement streams progress and ends with an estimate and its conditions") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const Measured measured =
      agent.measure(AgentFixture::quick_request(lease.lease(), "job", sha256));
  REQUIRE_MESSAGE(measured.status.ok(), measured.status.error_message());
  REQUIRE_MESSAGE(measured.failure.kind().empty(), measured.failure.message());
  CHECK(measured.progress >= 1);
  CHECK(measured.result.median_ms() > 0.0);
  CHECK(measured.result.low_ms() <= measured.result.median_ms());
  CHECK(measured.result.high_ms() >= measured.result.median_ms());
  CHECK(measured.result.processes() >= 2);
  CHECK(measured.result.kept() + measured.result.rejected() >= 4);
  CHECK(measured.result.peak_memory_bytes() > 0);
  CHECK(measured.result.reference_ms() > 0.0);
  CHECK(measured.result.conditions().engine() == "spin");
  CHECK(measured.result.conditions().threads() == 1);
  CHECK(measured.result.conditions().device_fingerprint() == agent.settings().board.fingerprint());
}

TEST_CASE("a repeated job id gives the stored result and never runs twice") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  v1::MeasureRequest request = AgentFixture::quick_request(lease.lease(), "once", sha256);
  const Measured first = agent.measure(request);
  REQUIRE(first.result.median_ms() > 0.0);
  lease.end();
  HeldLease later(agent.stub());
  REQUIRE(later.wait());
  request = AgentFixture::quick_request(later.lease(), "once", sha256);
  const Measured again = agent.measure(request);
  CHECK(again.progress == 0);
  CHECK(google::protobuf::util::MessageDifferencer::Equals(again.result, first.result));
  grpc::ClientContext context;
  v1::DescribeResponse described;
  REQUIRE(agent.stub().Describe(&context, {}, &described).ok());
  CHECK(described.jobs_done() == 1);
  request.mutable_plan()->set_seed(99);
  const Measured other = agent.measure(request);
  CHECK(other.status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(other.status.error_message() ==
        "job_id = once, expected an id that was not used for another request");
}

TEST_CASE("a repeated job id joins the job in flight") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const v1::MeasureRequest request = AgentFixture::quick_request(lease.lease(), "shared", sha256);
  std::future<Measured> second;
  const Measured first = agent.measure(request, [&] {
    if (!second.valid())
      second = std::async(std::launch::async, [&] { return agent.measure(request); });
  });
  REQUIRE(second.valid());
  CHECK(google::protobuf::util::MessageDifferencer::Equals(second.get().result, first.result));
}

TEST_CASE("a job needs the current lease and a model that is there") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  v1::Lease old;
  {
    HeldLease lease(agent.stub());
    REQUIRE(lease.wait());
    old = lease.lease();
  }
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  Measured measured = agent.measure(AgentFixture::quick_request(old, "a", sha256));
  CHECK(measured.status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(measured.status.error_message() ==
        "lease_id = " + old.id() +
            ", fencing_token = 1: not the current lease (the last token is 2); "
            "acquire one");
  const std::string unknown(64, '0');
  measured = agent.measure(AgentFixture::quick_request(lease.lease(), "b", unknown));
  CHECK(measured.status.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(measured.status.error_message() == "model_sha256 = " + unknown + ": not here, upload it");
}

TEST_CASE("requests out of range are refused with the field's name") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const auto refuse = [&](const std::function<void(v1::MeasureRequest&)>& change) {
    v1::MeasureRequest request = AgentFixture::quick_request(lease.lease(), "bad", sha256);
    change(request);
    const Measured measured = agent.measure(request);
    CHECK(measured.status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    return measured.status.error_message();
  };
  CHECK(refuse([](auto& r) { r.set_job_id(""); }) == "job_id has 0 characters, expected 1 to 200");
  CHECK(refuse([](auto& r) { r.mutable_plan()->set_budget_s(-1); }) ==
        "plan.budget_s = -1, expected 0.01 to 3600");
  CHECK(refuse([](auto& r) { r.mutable_plan()->set_level(2); }) ==
        "plan.level = 2, expected 0.5 to 0.9999");
  CHECK(refuse([](auto& r) { r.mutable_plan()->set_processes(1000); }) ==
        "plan.processes = 1000, expected 1 to 64");
  CHECK(refuse([](auto& r) { r.mutable_plan()->set_target_half_width(std::nan("")); }) ==
        "plan.target_half_width = nan, expected 0.0001 to 1");
  CHECK(refuse([](auto& r) { r.mutable_options()->set_memory_limit_bytes(-5); }) ==
        "options.memory_limit_bytes = -5, expected 0 or more");
}

TEST_CASE("what an engine does not have is a typed failure of the job") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  Measured measured =
      agent.measure(AgentFixture::quick_request(lease.lease(), "a", sha256, "tflite"));
  CHECK(measured.failure.kind() == "unsupported");
  CHECK(measured.failure.message().find("engine = tflite, expected one of: xnnpack") == 0);
  v1::MeasureRequest request = AgentFixture::quick_request(lease.lease(), "b", sha256, "xnnpack");
  request.mutable_options()->set_precision(v1::PRECISION_FP16);
  measured = agent.measure(request);
  const auto known = agent.settings().engines->get("xnnpack").precisions();
  if (std::find(known.begin(), known.end(), latency::Precision::Fp16) != known.end()) {
    CHECK(measured.result.conditions().precision() == v1::PRECISION_FP16);
  } else {
    CHECK(measured.failure.kind() == "unsupported");
    CHECK(measured.failure.message() == "xnnpack: precision = fp16, expected one of: fp32, int8");
  }
}

TEST_CASE("Run gives the outputs of the reference executor") {
  AgentFixture agent;
  const std::string model = small_model(5);
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  v1::RunRequest request;
  request.set_lease_id(lease.lease().id());
  request.set_fencing_token(lease.lease().fencing_token());
  request.set_model_sha256(agent.upload(model));
  for (const int64_t dimension : {2, 3, 8, 8}) request.add_shape(dimension);
  network::Tensor input{{2, 3, 8, 8}, {}};
  for (int i = 0; i < 2 * 3 * 64; ++i)
    input.values.push_back(static_cast<float>(i % 17) / 17.0F - 0.5F);
  request.mutable_inputs()->Add(input.values.begin(), input.values.end());
  grpc::ClientContext context;
  v1::RunResponse response;
  const grpc::Status status = agent.stub().Run(&context, request, &response);
  REQUIRE_MESSAGE(status.ok(), status.error_message());
  REQUIRE_MESSAGE(!response.has_failure(), response.failure().message());
  const network::Tensor expected = network::run_reference(network::import_onnx(model), input);
  CHECK(std::vector<int64_t>(response.shape().begin(), response.shape().end()) == expected.shape);
  REQUIRE(response.outputs_size() == 10);
  for (int i = 0; i < 10; ++i) {
    CHECK(response.outputs(i) ==
          doctest::Approx(expected.values[static_cast<size_t>(i)]).epsilon(1e-4));
  }
  request.set_shape(1, 4);
  grpc::ClientContext again;
  REQUIRE(agent.stub().Run(&again, request, &response).ok());
  CHECK(response.failure().kind() == "invalid_model");
  CHECK(response.failure().message() == "inputs: shape = [2, 4, 8, 8], expected N x [1, 3, 8, 8]");
  // So many images that their number of values, taken modulo 2^64, is 0.
  request.set_shape(0, int64_t{1} << 58);
  request.set_shape(1, 3);
  request.clear_inputs();
  grpc::ClientContext hostile;
  REQUIRE(agent.stub().Run(&hostile, request, &response).ok());
  CHECK(response.failure().kind() == "invalid_model");
  CHECK(response.failure().message() ==
        "inputs: values = 0, expected 192 an image for shape [288230376151711744, 3, 8, 8]");
}

TEST_CASE("Run of a quantised model gives int8 outputs, and of one without weights a reason") {
  AgentFixture agent;
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const auto run = [&](const std::string& model) {
    v1::RunRequest request;
    request.set_lease_id(lease.lease().id());
    request.set_fencing_token(lease.lease().fencing_token());
    request.set_model_sha256(agent.upload(model));
    request.mutable_options()->set_precision(v1::PRECISION_INT8);
    for (const int64_t dimension : {1, 3, 8, 8}) request.add_shape(dimension);
    for (int i = 0; i < 3 * 64; ++i) request.add_inputs(static_cast<float>(i % 17) / 17.0F - 0.5F);
    grpc::ClientContext context;
    v1::RunResponse response;
    REQUIRE(agent.stub().Run(&context, request, &response).ok());
    return response;
  };
  const std::string floats = small_model(5);
  const network::Model model =
      network::quantize_nominally(network::deploy(network::import_onnx(floats)));
  const v1::RunResponse response = run(network::to_onnx(model));
  REQUIRE_MESSAGE(!response.has_failure(), response.failure().message());
  REQUIRE(response.outputs_size() == 5);
  const float step = 8.0F / 255.0F;
  for (const float output : response.outputs()) {
    CHECK(std::abs(output / step - std::round(output / step)) < 1e-3F);
  }
  const v1::RunResponse refused = run(network::to_onnx_without_weights(model.network, 1));
  CHECK(refused.failure().kind() == "unsupported");
  CHECK(refused.failure().message().find("its int8 outputs mean nothing") != std::string::npos);
  CHECK(run(floats).failure().kind() == "unsupported");
}

TEST_CASE("MobileNetV2 at 224 fits into 40 MB in fp32 and into 24 MB in int8" *
          doctest::skip(!kMemoryLimitsWork)) {
  AgentFixture agent;
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const network::Network net = network::deploy(network::reference_network("mobilenet_v2"));
  const network::Model model{net, network::random_weights(net, 3)};
  const auto failure = [&](const std::string& onnx, v1::Precision precision, int64_t megabytes) {
    static int number = 0;
    v1::MeasureRequest request = AgentFixture::quick_request(
        lease.lease(), std::to_string(number++), agent.upload(onnx), "xnnpack");
    request.mutable_options()->set_precision(precision);
    request.mutable_options()->set_memory_limit_bytes(megabytes << 20);
    return agent.measure(request).failure.message();
  };
  const std::string without_weights = network::to_onnx_without_weights(net, 3);
  CHECK(failure(network::to_onnx(model), v1::PRECISION_FP32, 40).empty());
  CHECK(failure(without_weights, v1::PRECISION_FP32, 40).empty());
  CHECK(failure(network::to_onnx(network::quantize_nominally(model)), v1::PRECISION_INT8, 24)
            .empty());
  CHECK(failure(without_weights, v1::PRECISION_INT8, 24).empty());
}

TEST_CASE("Profile names every operator with its work") {
  AgentFixture agent;
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  v1::ProfileRequest request;
  request.set_lease_id(lease.lease().id());
  request.set_fencing_token(lease.lease().fencing_token());
  request.set_model_sha256(agent.upload(small_model()));
  request.set_budget_s(0.05);
  grpc::ClientContext context;
  v1::ProfileResponse response;
  REQUIRE(agent.stub().Profile(&context, request, &response).ok());
  REQUIRE(response.operators_size() == 3);
  CHECK(response.operators(0).node() == "conv");
  CHECK(response.operators(0).operator_() == "conv2d");
  CHECK(response.operators(0).macs() == 4 * 27 * 64);
  CHECK(response.operators(2).node() == "head");
  CHECK(response.total_ms() > 0.0);
}

TEST_CASE("draining refuses newcomers and closes the streams") {
  AgentFixture agent;
  HeldLease holder(agent.stub());
  REQUIRE(holder.wait());
  HeldLease waiter(agent.stub());
  v1::AcquireResponse message;
  REQUIRE(waiter.read(message));
  agent.server().stop(0.0);
  CHECK_FALSE(waiter.wait());
  CHECK_FALSE(holder.wait());
}
