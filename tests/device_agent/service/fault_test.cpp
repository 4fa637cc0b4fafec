#include <doctest/doctest.h>
#include <signal.h>

#include <filesystem>
#include <iterator>
#include <string>

#include "core/clock.h"
#include "tests/device_agent/service/agent_fixture.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

struct Fault {
  std::string engine;
  std::string kind;
  std::string message;
};

}  // namespace

TEST_CASE("every way in which a model can fail is a typed failure, and the next job runs") {
  AgentFixture agent({}, 0.7);
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const Fault faults[] = {
      {"fault:crash", "crashed", "the worker process died of SIGSEGV while running the model"},
      {"fault:abort", "crashed", "the worker process died of SIGABRT while running the model"},
      {"fault:exit", "crashed",
       "the worker process ended with exit code 7 while running the model"},
      {"fault:garbage", "crashed", "the worker process sent what is not a message"},
      {"fault:memory", "out_of_memory", "the network does not fit into the memory limit"},
      {"fault:throw", "internal", "an engine's own bug"},
      {"fault:hang", "deadline_exceeded",
       "the model did not answer in time: the worker was killed"},
      {"fault:deaf", "deadline_exceeded",
       "the model did not answer in time: the worker was killed"},
      {"fault:mute", "crashed", "the worker process closed its channel and did not end"},
  };
  for (const Fault& fault : faults) {
    if (fault.kind == "out_of_memory" && !kMemoryLimitsWork) continue;
    CAPTURE(fault.engine);
    const Measured failed = agent.measure(
        AgentFixture::quick_request(lease.lease(), fault.engine, sha256, fault.engine));
    REQUIRE(failed.status.ok());
    CHECK(failed.failure.kind() == fault.kind);
    CHECK(failed.failure.message() == fault.message);
    const Measured next =
        agent.measure(AgentFixture::quick_request(lease.lease(), "after " + fault.engine, sha256));
    CHECK(next.failure.message() == "");
    CHECK(next.result.median_ms() > 0.0);
  }
}

TEST_CASE("killing the worker in mid-measurement is a typed failure, and the next job runs") {
  AgentFixture agent;
  const std::string sha256 = agent.upload(small_model());
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  v1::MeasureRequest request = AgentFixture::quick_request(lease.lease(), "killed", sha256);
  request.mutable_plan()->set_budget_s(60.0);
  request.mutable_plan()->set_target_half_width(1e-4);
  request.mutable_plan()->set_max_blocks(1000000);
  const Measured killed = agent.measure(request, [] {
    for (const int child : child_processes()) ::kill(child, SIGKILL);
  });
  CHECK(killed.progress >= 1);
  CHECK(killed.failure.kind() == "crashed");
  CHECK(killed.failure.message().find("the worker process was killed while running the model") ==
        0);
  CHECK(
      agent.measure(AgentFixture::quick_request(lease.lease(), "next", sha256)).result.median_ms() >
      0.0);
}

TEST_CASE("a truncated or hostile model is a typed failure") {
  AgentFixture agent;
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const std::string whole = small_model();
  const std::string models[] = {whole.substr(0, whole.size() / 2), "not a model at all",
                                std::string(100000, '\x0a')};
  int number = 0;
  for (const std::string& bytes : models) {
    const std::string sha256 = agent.upload(bytes);
    const Measured measured = agent.measure(AgentFixture::quick_request(
        lease.lease(), "hostile" + std::to_string(++number), sha256, "xnnpack"));
    CHECK(measured.failure.kind() == "invalid_model");
  }
  CHECK(agent.measure(AgentFixture::quick_request(lease.lease(), "next", agent.upload(whole)))
            .result.median_ms() > 0.0);
}

TEST_CASE("a network beyond the job's memory limit is out of memory, not a crash" *
          doctest::skip(!kMemoryLimitsWork)) {
  AgentFixture agent;
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  v1::MeasureRequest request =
      AgentFixture::quick_request(lease.lease(), "big", agent.upload(small_model()), "xnnpack");
  request.mutable_options()->set_memory_limit_bytes(1 << 18);
  const Measured measured = agent.measure(request);
  CHECK(measured.failure.kind() == "out_of_memory");
}

TEST_CASE("a job whose controller is gone is cancelled after the grace, and its id can run again") {
  ServerOptions options;
  options.orphan_grace_s = 0.01;
  AgentFixture agent(options);
  const std::string sha256 = agent.upload(small_model());
  v1::MeasureRequest endless;
  {
    HeldLease lease(agent.stub());
    REQUIRE(lease.wait());
    endless = AgentFixture::quick_request(lease.lease(), "endless", sha256);
    endless.mutable_plan()->set_budget_s(3000.0);
    endless.mutable_plan()->set_target_half_width(1e-4);
    endless.mutable_plan()->set_max_blocks(1000000);
    const Measured measured = agent.measure(endless, [&] { lease.end(); });
    CHECK(measured.failure.kind() == "cancelled");
  }
  HeldLease next(agent.stub());
  REQUIRE(next.wait());
  endless = AgentFixture::quick_request(next.lease(), "endless", sha256);
  CHECK(agent.measure(endless).result.median_ms() > 0.0);
}

TEST_CASE("finished jobs and dropped models hold no file descriptors") {
  constexpr int kJobs = 150;
  const auto descriptors = [] {
    const std::filesystem::directory_iterator open("/proc/self/fd");
    return std::distance(std::filesystem::begin(open), std::filesystem::end(open));
  };
  AgentFixture agent;
  HeldLease lease(agent.stub());
  REQUIRE(lease.wait());
  const auto fail = [&](int number) {
    const std::string id = "hostile" + std::to_string(number);
    const std::string sha256 = agent.upload("not a model: " + id);
    const Measured measured =
        agent.measure(AgentFixture::quick_request(lease.lease(), id, sha256, "xnnpack"));
    CHECK(measured.failure.kind() == "invalid_model");
  };
  fail(0);
  const auto before = descriptors();
  for (int number = 1; number <= kJobs; ++number) fail(number);
  CHECK(descriptors() < before + static_cast<std::ptrdiff_t>(ModelStore::kMostModels) + 20);
}

TEST_CASE("workers leave no processes behind") {
  {
    AgentFixture agent;
    const std::string sha256 = agent.upload(small_model());
    HeldLease lease(agent.stub());
    REQUIRE(lease.wait());
    CHECK(agent.measure(AgentFixture::quick_request(lease.lease(), "job", sha256))
              .result.median_ms() > 0.0);
  }
  const double end_s = steady_clock().now_s() + 10.0;
  while (!child_processes().empty() && steady_clock().now_s() < end_s) {
  }
  CHECK(child_processes().empty());
}
