#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/file.h"
#include "latency/fleet/fleet.h"
#include "tests/latency/fleet/fleet_fixture.h"
#include "tests/support/temporary_folder.h"

// What a fleet does when answers, leases, models, boards or workers are lost.

namespace lathe::latency {
namespace {

using lathe::test::FakeAgent;
using lathe::test::TemporaryFolder;
using test::candidate_of;
using test::device_of;
using test::get;
using test::impatient;
using test::measure;
using Act = FakeAgent::Act;

TEST_CASE("Fleet uses the first of several results of one job") {
  FakeAgent agent;
  agent.script({Act::ResultTwice});
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  for (int64_t channels : {8, 9}) {
    const auto result = measure(fleet, "pi4", channels);
    REQUIRE(result.ok());
    CHECK(result->median_ms == 5.0);
  }
}

TEST_CASE("Fleet repeats a job under its id after a broken stream, and it runs once") {
  for (Act act : {Act::DropAfterRunning, Act::DropBeforeRunning, Act::EndWithoutResult}) {
    CAPTURE(static_cast<int>(act));
    FakeAgent agent;
    agent.script({act, act, act});
    Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
    REQUIRE(measure(fleet, "pi4", 8).ok());
    CHECK(agent.runs() == 1);
    const std::vector<std::string> ids = agent.job_ids();
    REQUIRE(ids.size() == 4);
    for (const std::string& id : ids) CHECK(id == ids[0]);
  }
}

TEST_CASE("Fleet says when an agent is lost and when it is back") {
  const TemporaryFolder folder;
  log::to_json_lines(folder / "log.jsonl");
  FakeAgent agent;
  agent.script({Act::DropBeforeRunning});
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  REQUIRE(measure(fleet, "pi4", 8).ok());
  const std::string text = read_file(folder / "log.jsonl");
  const size_t lost = text.find("agent " + agent.address() + " is lost, trying again");
  const size_t back = text.find("agent " + agent.address() + " is back after");
  CHECK(lost != std::string::npos);
  CHECK(back != std::string::npos);
  CHECK(lost < back);
  CHECK(text.find("is lost", lost + 30) == std::string::npos);  // once a loss
}

TEST_CASE("Fleet renews a lost lease and never measures under the old one") {
  FakeAgent agent;
  agent.script({Act::LoseLease});
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  REQUIRE(measure(fleet, "pi4", 8).ok());
  CHECK(agent.leases_granted() == 2);
  CHECK(agent.runs() == 1);

  agent.hold_measurements(true);
  auto future = fleet.evaluator("pi4").measure(candidate_of(9), {});
  REQUIRE(agent.wait_for_measure_calls(3));
  agent.revoke_lease();
  agent.hold_measurements(false);
  CHECK(get(future).ok());
  CHECK(agent.leases_granted() >= 3);
}

TEST_CASE("Fleet sends a model again when the agent has dropped it") {
  FakeAgent agent;
  agent.script({Act::ForgetModel});
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  REQUIRE(measure(fleet, "pi4", 8).ok());
  CHECK(agent.uploads() == 2);
  MeasurementPlan fresh;
  fresh.fresh = true;
  REQUIRE(measure(fleet, "pi4", 8, fresh).ok());
  CHECK(agent.uploads() == 2);  // known by its content
}

TEST_CASE("Fleet tries a crashed job once more, under another id, and then gives the failure") {
  FakeAgent agent;
  agent.script({Act::CrashedWorker, Act::Result, Act::CrashedWorker, Act::CrashedWorker});
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  CHECK(measure(fleet, "pi4", 8).ok());
  const auto crashed = measure(fleet, "pi4", 9);
  REQUIRE_FALSE(crashed.ok());
  CHECK(crashed.failure().kind == FailureKind::Crashed);
  CHECK(crashed.failure().message == "agent " + agent.address() + ", measure: scripted");
  const std::vector<std::string> ids = agent.job_ids();
  REQUIRE(ids.size() == 4);
  CHECK(ids[0] != ids[1]);
  CHECK(measure(fleet, "pi4", 10).ok());  // the board is still good
  CHECK(agent.leases_granted() <= 3);     // a crash does not cost the lease
}

TEST_CASE("Fleet hands a job's own failure to its caller and goes on with the next") {
  FakeAgent agent;
  agent.script({Act::OutOfMemory, Act::UnknownFailure, Act::NegativeLatency});
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  const auto memory = measure(fleet, "pi4", 8);
  REQUIRE_FALSE(memory.ok());
  CHECK(memory.failure().kind == FailureKind::OutOfMemory);
  const auto unknown = measure(fleet, "pi4", 9);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.failure().kind == FailureKind::Internal);
  CHECK(unknown.failure().message.find("struck_by_lightning") != std::string::npos);
  const auto negative = measure(fleet, "pi4", 10);
  REQUIRE_FALSE(negative.ok());
  CHECK(negative.failure().kind == FailureKind::Internal);
  CHECK(negative.failure().message.find("median_ms = -1.0") != std::string::npos);
  CHECK(measure(fleet, "pi4", 11).ok());
}

TEST_CASE("Fleet blames a job during which boards are lost again and again") {
  FakeAgent agent;
  agent.script(std::vector<Act>(3, Act::DropBeforeRunning));
  FleetOptions options = impatient();
  options.max_losses = 3;
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", options);
  const auto result = measure(fleet, "pi4", 8);
  REQUIRE_FALSE(result.ok());
  CHECK(result.failure().kind == FailureKind::Unavailable);
  CHECK(result.failure().message.find("boards were lost in 3 tries of this job") !=
        std::string::npos);
  CHECK(measure(fleet, "pi4", 9).ok());
}

TEST_CASE("Fleet fails all jobs at once when every agent refuses its credentials") {
  FakeAgent::Options agent_options;
  agent_options.token = "right";
  FakeAgent agent(agent_options);
  DeviceConfig device = device_of("pi4", {agent.address()});
  {
    device.credentials.token = "right";
    Fleet fleet({device}, nullptr, "run", impatient());
    CHECK(measure(fleet, "pi4", 8).ok());
  }
  device.credentials.token = "wrong";
  Fleet fleet({device}, nullptr, "run", impatient());
  for (int64_t channels : {8, 9}) {
    const auto result = measure(fleet, "pi4", channels);
    REQUIRE_FALSE(result.ok());
    CHECK(result.failure().kind == FailureKind::Unauthorized);
    CHECK(result.failure().message == "agent " + agent.address() + ", describe: token: wrong");
  }
}

TEST_CASE("Fleet moves the job of a lost board to another of its class") {
  FakeAgent first;
  FakeAgent second;
  second.occupy();
  Fleet fleet({device_of("pi4", {first.address(), second.address()})}, nullptr, "run", impatient());
  first.script({Act::Hang});
  auto future = fleet.evaluator("pi4").measure(candidate_of(8), {});
  REQUIRE(first.wait_for_measure_calls(1));
  second.release();
  first.kill();
  const auto result = get(future);
  REQUIRE(result.ok());
  CHECK(result->conditions.extra.at("agent") == second.address());
  CHECK(second.runs() == 1);
}

TEST_CASE("Fleet finishes its jobs over an agent that is killed and restarted on its port") {
  FakeAgent agent;
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  for (int round = 0; round < 3; ++round) {
    agent.script({Act::Hang});
    std::vector<std::future<Result<LatencyEstimate>>> futures;
    const int64_t calls = agent.measure_calls();
    for (int64_t job = 0; job < 4; ++job) {
      futures.push_back(fleet.evaluator("pi4").measure(candidate_of(8 + 4 * round + job), {}));
    }
    REQUIRE(agent.wait_for_measure_calls(calls + 1));
    agent.kill();
    agent.restart();
    for (auto& future : futures) CHECK(get(future).ok());
  }
  CHECK(agent.runs() == 12);
}

TEST_CASE("Fleet leaves an agent alone that is about to stop, and takes it up again afterwards") {
  FakeAgent agent;
  agent.set_draining(true);
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  auto future = fleet.evaluator("pi4").measure(candidate_of(8), {});
  CHECK(future.wait_for(std::chrono::milliseconds(200)) == std::future_status::timeout);
  CHECK(agent.leases_granted() == 0);
  agent.set_draining(false);
  CHECK(get(future).ok());
}

TEST_CASE("Fleet gives up a job that no board takes in time, and only then") {
  FakeAgent agent;
  DeviceConfig device = device_of("pi4", {agent.address()});
  device.give_up_s = 0.0;
  agent.kill();
  Fleet fleet({device}, nullptr, "run", impatient());
  const auto result = measure(fleet, "pi4", 8);
  REQUIRE_FALSE(result.ok());
  CHECK(result.failure().kind == FailureKind::Unavailable);
  CHECK(result.failure().message ==
        "device pi4: no board took the job for 0 s; " + agent.address() + " is lost: agent " +
            agent.address() +
            ", describe: failed to connect to all addresses; last error: UNKNOWN: ipv4:" +
            agent.address() + ": Failed to connect to remote host: Connection refused");

  device.give_up_s = 60.0;
  Fleet patient({device}, nullptr, "run", impatient());
  auto future = patient.evaluator("pi4").measure(candidate_of(8), {});
  agent.restart();
  CHECK(get(future).ok());
}

}  // namespace
}  // namespace lathe::latency
