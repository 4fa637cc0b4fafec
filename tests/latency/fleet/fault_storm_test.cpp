#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file.h"
#include "core/rng.h"
#include "latency/fleet/agent_client.h"
#include "latency/fleet/fleet.h"
#include "latency/store/measurement_store.h"
#include "tests/latency/fleet/fleet_fixture.h"
#include "tests/support/fake_agent.h"
#include "tests/support/jumping_clock.h"
#include "tests/support/temporary_folder.h"

namespace lathe::latency {
namespace {

using lathe::test::FakeAgent;
using lathe::test::jump_wall_clock;
using lathe::test::TemporaryFolder;
using Act = FakeAgent::Act;

constexpr int kAgents = 50;
constexpr int kFaults = 1000;
constexpr int kJobs = 1500;

/// Does one random fault to one random agent.
void strike(std::vector<std::unique_ptr<FakeAgent>>& agents, Rng& rng) {
  FakeAgent& agent = *rng.choose(agents);
  switch (rng.below(7)) {
    case 0:
      agent.kill();
      agent.restart();
      break;
    case 1:
      agent.revoke_lease();
      break;
    case 2:
      agent.script({Act::DropAfterRunning});
      break;
    case 3:
      agent.script({Act::DropBeforeRunning});
      break;
    case 4:
      agent.script({Act::ResultTwice, Act::ForgetModel});
      break;
    case 5:
      jump_wall_clock(rng.uniform(-3600.0, 3600.0));
      break;
    default:
      agent.script({Act::CrashedWorker});
      break;
  }
}

double longest_pause_s_of(std::vector<std::unique_ptr<FakeAgent>>& agents) {
  double longest_s = 0.0;
  for (auto& agent : agents) longest_s = std::max(longest_s, agent->take_longest_pause_s());
  return longest_s;
}

TEST_CASE("Fleet of 50 agents loses and doubles no result over 1000 random faults") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  std::vector<std::unique_ptr<FakeAgent>> agents;
  std::vector<std::string> addresses;
  for (int i = 0; i < kAgents; ++i) {
    agents.push_back(std::make_unique<FakeAgent>());
    addresses.push_back(agents.back()->address());
  }
  FleetOptions options = test::impatient();
  options.max_losses = 1000;  // no job is to blame here
  const double start_s = steady_clock().now_s();
  Fleet fleet({test::device_of("pi4", addresses)}, &store, "storm", options);
  std::vector<std::future<Result<LatencyEstimate>>> futures;
  Rng rng(2026);
  int faults = 0;
  for (int job = 0; job < kJobs; ++job) {
    // From here on there is always more work than boards.
    if (job == 8 * kAgents) static_cast<void>(longest_pause_s_of(agents));
    futures.push_back(fleet.evaluator("pi4").measure(test::candidate_of(job + 1), {}));
    while (faults * kJobs < job * kFaults) {
      strike(agents, rng);
      ++faults;
      // Keeps the storm as long as the work: a fault for every job and a half that is done.
      futures[static_cast<size_t>(job) * 3 / 4].wait_for(std::chrono::seconds(5));
    }
  }
  const double longest_pause_s = longest_pause_s_of(agents);
  int delivered = 0;
  int crashed_twice = 0;
  for (auto& future : futures) {
    REQUIRE(future.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
    const auto result = future.get();
    if (result.ok()) {
      ++delivered;
    } else {
      // The only failure that a job may end with here: its worker was struck twice.
      CHECK(result.failure().kind == FailureKind::Crashed);
      ++crashed_twice;
    }
  }
  int64_t runs = 0;
  for (const auto& agent : agents) runs += agent->runs();
  std::printf(
      "%d faults, %d jobs: %d delivered, %d crashed twice, %lld runs on boards, %.1f s; no "
      "board without a job for more than %.2f s\n",
      faults, kJobs, delivered, crashed_twice, static_cast<long long>(runs),
      steady_clock().now_s() - start_s, longest_pause_s);
  CHECK(faults >= kFaults - 1);
  CHECK(delivered + crashed_twice == kJobs);
  CHECK(crashed_twice < kJobs / 20);
  CHECK(store.size() == delivered);  // nothing lost, nothing doubled
}

TEST_CASE("Calls end at their deadlines though the wall clock is set back meanwhile") {
  FakeAgent agent;
  AgentClient client(agent.address(), {});
  const auto lease = client.acquire("test", 5.0);
  REQUIRE(lease.ok());
  const std::string onnx = "any model";
  REQUIRE(client.provide_model(sha256_hex(onnx), onnx).ok());
  agent.script({Act::Hang});
  auto measured = std::async(std::launch::async, [&] {
    return client.measure(**lease, "job", sha256_hex(onnx), {}, {}, 1.0);
  });
  REQUIRE(agent.wait_for_measure_calls(1));
  jump_wall_clock(-86400.0);
  REQUIRE(measured.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  const auto result = measured.get();
  REQUIRE_FALSE(result.ok());
  CHECK(result.failure().kind == FailureKind::Unavailable);
  CHECK(result.failure().message.find("measure: no answer in time") != std::string::npos);
}

TEST_CASE("Fleet finds a board again that was away while the wall clock was set back") {
  FakeAgent agent;
  Fleet fleet({test::device_of("pi4", {agent.address()})}, nullptr, "run", test::impatient());
  CHECK(test::measure(fleet, "pi4", 8).ok());
  agent.kill();
  auto future = fleet.evaluator("pi4").measure(test::candidate_of(9), {});
  CHECK(future.wait_for(std::chrono::milliseconds(300)) == std::future_status::timeout);
  jump_wall_clock(-86400.0);
  agent.restart();
  CHECK(test::get(future).ok());
}

}  // namespace
}  // namespace lathe::latency
