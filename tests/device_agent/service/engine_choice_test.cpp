// Every engine of this build, chosen by its name and run in a worker process.
#include <doctest/doctest.h>

#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "tests/device_agent/service/agent_fixture.h"
#include "tests/support/random_network.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

std::vector<std::string> built_engines() {
  EngineRegistry engines;
  add_engines(engines);
  std::vector<std::string> names;
  for (const auto& engine : engines.all()) names.push_back(engine->name());
  return names;
}

}  // namespace

TEST_CASE("an engine is described, chosen by name, and computes and measures in its worker") {
  AgentFixture agent;
  HeldLease held(agent.stub());
  REQUIRE(held.wait());
  const std::string model = small_model(5);
  const std::string sha256 = agent.upload(model);
  const network::Tensor image = test::random_tensor({1, 3, 8, 8}, Rng(6));
  const network::Tensor expected = network::run_reference(network::import_onnx(model), image);
  grpc::ClientContext describing;
  v1::DescribeResponse description;
  REQUIRE(agent.stub().Describe(&describing, {}, &description).ok());
  int described = 0;
  for (const std::string& name : built_engines()) {
    CAPTURE(name);
    for (const v1::EngineInfo& engine : description.engines()) {
      if (engine.name() != name) continue;
      ++described;
      CHECK(!engine.version().empty());
      CHECK(engine.operators_size() == 15);
    }
    v1::RunRequest request;
    request.set_lease_id(held.lease().id());
    request.set_fencing_token(held.lease().fencing_token());
    request.set_model_sha256(sha256);
    request.mutable_options()->set_engine(name);
    for (const int64_t dimension : image.shape) request.add_shape(dimension);
    request.mutable_inputs()->Add(image.values.begin(), image.values.end());
    grpc::ClientContext context;
    v1::RunResponse response;
    REQUIRE(agent.stub().Run(&context, request, &response).ok());
    REQUIRE_MESSAGE(!response.has_failure(), response.failure().message());
    const network::Tensor got{expected.shape,
                              {response.outputs().begin(), response.outputs().end()}};
    CHECK(test::relative_difference(got, expected) < 1e-4);
    const Measured measured =
        agent.measure(AgentFixture::quick_request(held.lease(), "measure " + name, sha256, name));
    REQUIRE_MESSAGE(measured.result.median_ms() > 0.0, measured.failure.message());
    CHECK(measured.result.conditions().engine() == name);
  }
  CHECK(described == static_cast<int>(built_engines().size()));
}

TEST_CASE("an engine that needs more than the memory limit fails its job alone" *
          doctest::skip(!kMemoryLimitsWork)) {
  AgentFixture agent;
  HeldLease held(agent.stub());
  REQUIRE(held.wait());
  network::ReferenceOptions options;
  options.resolution = 128;
  const std::string large = agent.upload(network::to_onnx_without_weights(
      network::deploy(network::reference_network("resnet18", options)), 1));
  const std::string small = agent.upload(small_model());
  for (const std::string& name : built_engines()) {
    CAPTURE(name);
    // Its weights take 47 MB: memory runs out while they are read, while they are packed, or not.
    for (const int64_t limit_mb : {32, 64, 96, 128, 160}) {
      CAPTURE(limit_mb);
      v1::MeasureRequest request = AgentFixture::quick_request(
          held.lease(), name + " " + std::to_string(limit_mb), large, name);
      request.mutable_options()->set_memory_limit_bytes(limit_mb << 20);
      const Measured measured = agent.measure(request);
      const bool failed = measured.failure.kind() == "out_of_memory";
      CHECK_MESSAGE((failed || measured.result.median_ms() > 0.0), measured.failure.message());
      CHECK((failed || limit_mb > 32));
    }
    const Measured next =
        agent.measure(AgentFixture::quick_request(held.lease(), "next " + name, small, name));
    CHECK_MESSAGE(next.result.median_ms() > 0.0, next.failure.message());
  }
}
