#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "latency/fleet/fleet.h"
#include "latency/store/measurement_store.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "tests/latency/fleet/fleet_fixture.h"
#include "tests/support/temporary_folder.h"

// The fleet with a real lathe-agent on this machine.

namespace lathe::latency {
namespace {

using lathe::test::TemporaryFolder;

LocalAgent::Options agent_options() { return {LATHE_AGENT_PROGRAM, {}}; }

network::Network small_network(int64_t resolution) {
  network::ReferenceOptions options;
  options.resolution = resolution;
  options.classes = 10;
  return network::reference_network("mobilenet_v2_0.35", options);
}

search::Candidate candidate_at(int64_t resolution) {
  search::Candidate candidate;
  candidate.network = std::make_shared<network::Network>(small_network(resolution));
  candidate.structure = network::digest(*candidate.network, network::DigestKind::Structure);
  return candidate;
}

MeasurementPlan quick_plan(uint64_t seed = 1) {
  MeasurementPlan plan;
  plan.target_half_width = 0.05;
  plan.budget_s = 2.0;
  plan.seed = seed;
  return plan;
}

FleetOptions quick_options() {
  FleetOptions options;
  options.back_off = {0.05, 2.0, 1.0};
  return options;
}

Result<LatencyEstimate> get(std::future<Result<LatencyEstimate>>& future) {
  REQUIRE(future.wait_for(std::chrono::seconds(120)) == std::future_status::ready);
  return future.get();
}

/// Process ids of the direct children of `process`.
std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> children;
  std::error_code error;
  const std::filesystem::path tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "children");
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

/// Waits for the agent's worker process of a measurement; 0 if none comes within 60 s.
pid_t wait_for_worker(pid_t agent) {
  const double deadline_s = steady_clock().now_s() + 60.0;
  while (steady_clock().now_s() < deadline_s) {
    const std::vector<pid_t> children = children_of(agent);
    if (!children.empty()) return children.back();
    steady_clock().sleep_s(0.002);
  }
  return 0;
}

TEST_CASE("A device in int8 measures candidates without weights and keeps them apart from fp32") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  DeviceConfig floats;
  floats.name = "floats";
  DeviceConfig integers;
  integers.name = "integers";
  integers.precision = Precision::Int8;
  for (const DeviceConfig& device : {floats, integers}) {
    Fleet fleet({device}, &store, "test", quick_options(), agent_options());
    auto future = fleet.evaluator(device.name).measure(candidate_at(32), quick_plan());
    const auto result = get(future);
    REQUIRE_MESSAGE(result.ok(), result.failure().message);
    CHECK(result->conditions.precision == device.precision);
    CHECK(fleet.describe(10.0)[0].jobs_done == 1);
  }
  CHECK(store.size() == 2);
}

TEST_CASE(
    "Fleet starts a local agent, measures a real network and answers the next time from the "
    "store") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  DeviceConfig device;
  device.name = "local";
  Fleet fleet({device}, &store, "test", quick_options(), agent_options());
  CHECK(fleet.evaluator("local").shares_host());

  const auto boards = fleet.describe(10.0);
  REQUIRE(boards.size() == 1);
  CHECK_FALSE(boards[0].fingerprint.empty());
  REQUIRE_FALSE(boards[0].engines.empty());

  auto small = fleet.evaluator("local").measure(candidate_at(32), quick_plan());
  auto large = fleet.evaluator("local").measure(candidate_at(96), quick_plan());
  const auto small_result = get(small);
  const auto large_result = get(large);
  REQUIRE(small_result.ok());
  REQUIRE(large_result.ok());
  CHECK(small_result->median_ms > 0.0);
  CHECK(small_result->interval_ms.low <= small_result->median_ms);
  CHECK(small_result->conditions.engine == "xnnpack");
  CHECK(large_result->median_ms > 2.0 * small_result->median_ms);  // nine times the pixels
  CHECK(store.size() == 2);
  const uint64_t jobs = fleet.describe(10.0)[0].jobs_done;
  if (small_result->verdict == Verdict::Clean) {
    auto again = fleet.evaluator("local").measure(candidate_at(32), quick_plan());
    CHECK(get(again)->median_ms == small_result->median_ms);
    CHECK(fleet.describe(10.0)[0].jobs_done == jobs);
  }
}

TEST_CASE("Fleet profiles and runs a model on the local agent as the reference executor does") {
  DeviceConfig device;
  device.name = "local";
  Fleet fleet({device}, nullptr, "test", quick_options(), agent_options());
  network::Model model;
  model.network = small_network(32);
  model.weights = network::random_weights(model.network, 3);
  const network::Model deployed = network::deploy(model);
  network::OnnxExportOptions options;
  const std::string onnx = network::to_onnx(deployed, options);

  const auto profile = fleet.profile_model("local", onnx, 0.2);
  REQUIRE(profile.ok());
  CHECK(profile->size() > 20);

  network::Tensor images;
  images.shape = {3, 3, 32, 32};
  Rng rng(5);
  for (int i = 0; i < 3 * 3 * 32 * 32; ++i)
    images.values.push_back(static_cast<float>(rng.uniform(-1.0, 1.0)));
  const auto outputs = fleet.run_model("local", onnx, images);
  if (!outputs.ok()) FAIL(outputs.failure().message);
  const network::Tensor expected = network::run_reference(deployed, images);
  REQUIRE(outputs->shape == expected.shape);
  float scale = 1e-3F;
  for (float value : expected.values) scale = std::max(scale, std::abs(value));
  for (size_t i = 0; i < expected.values.size(); ++i) {
    CAPTURE(i);
    CHECK(outputs->values[i] == doctest::Approx(expected.values[i]).epsilon(1e-4).scale(scale));
  }
}

TEST_CASE("Fleet delivers although the agent is killed in the middle of measurements") {
  DeviceConfig device;
  device.name = "local";
  Fleet fleet({device}, nullptr, "test", quick_options(), agent_options());
  std::vector<std::future<Result<LatencyEstimate>>> futures;
  for (int64_t resolution : {32, 48, 64}) {
    futures.push_back(fleet.evaluator("local").measure(candidate_at(resolution), quick_plan()));
  }
  for (int kills = 0; kills < 2; ++kills) {
    const pid_t agent = fleet.local_process_id();
    REQUIRE(agent > 0);
    REQUIRE(wait_for_worker(agent) > 0);
    REQUIRE(kill(agent, SIGKILL) == 0);
    const double deadline_s = steady_clock().now_s() + 30.0;
    while (fleet.local_process_id() == agent && steady_clock().now_s() < deadline_s)
      steady_clock().sleep_s(0.01);
    CHECK(fleet.local_process_id() != agent);
  }
  for (auto& future : futures) {
    const auto result = get(future);
    if (!result.ok()) FAIL(result.failure().message);
    CHECK(result->median_ms > 0.0);
  }
}

TEST_CASE("Fleet delivers although a worker is killed in the middle of a measurement") {
  DeviceConfig device;
  device.name = "local";
  Fleet fleet({device}, nullptr, "test", quick_options(), agent_options());
  auto future = fleet.evaluator("local").measure(candidate_at(96), quick_plan());
  const pid_t agent = fleet.local_process_id();
  const pid_t worker = wait_for_worker(agent);
  REQUIRE(worker > 0);
  REQUIRE(kill(worker, SIGKILL) == 0);
  const auto result = get(future);
  if (!result.ok()) FAIL(result.failure().message);
  CHECK(result->median_ms > 0.0);
  CHECK(fleet.local_process_id() == agent);  // the worker's death is not the agent's
}

TEST_CASE("LocalAgent dies with its controller") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // A fresh program, so that gRPC starts in a process of its own.
    dup2(ends[1], 3);
    execl("/proc/self/exe", "local_fleet_test", "--no-run=0", "--test-case=helper*", "--no-skip",
          nullptr);
    _exit(9);
  }
  close(ends[1]);
  pid_t agent = 0;
  REQUIRE(read(ends[0], &agent, sizeof agent) == static_cast<ssize_t>(sizeof agent));
  close(ends[0]);
  CHECK(kill(agent, 0) == 0);
  kill(child, SIGKILL);
  const double deadline_s = steady_clock().now_s() + 20.0;
  const std::string stat = "/proc/" + std::to_string(agent) + "/exe";
  while (access(stat.c_str(), F_OK) == 0 && steady_clock().now_s() < deadline_s)
    steady_clock().sleep_s(0.01);
  CHECK(access(stat.c_str(), F_OK) != 0);
}

TEST_CASE("helper: holds a local agent until it is killed" * doctest::skip()) {
  LocalAgent agent(agent_options());
  const pid_t process = agent.process_id();
  REQUIRE(write(3, &process, sizeof process) == static_cast<ssize_t>(sizeof process));
  pause();
}

}  // namespace
}  // namespace lathe::latency
