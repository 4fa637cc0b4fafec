#include "latency/fleet/fleet.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/error.h"
#include "latency/store/measurement_store.h"
#include "tests/latency/fleet/fleet_fixture.h"
#include "tests/support/temporary_folder.h"

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

TEST_CASE("Fleet measures a candidate with its conditions and the agent's name") {
  FakeAgent agent;
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  search::LatencyEvaluator& evaluator = fleet.evaluator("pi4");
  CHECK(evaluator.device() == "pi4");
  CHECK(evaluator.shares_host());  // on loopback
  const auto result = measure(fleet, "pi4", 8);
  REQUIRE(result.ok());
  CHECK(result->median_ms == 5.0);
  CHECK(result->interval_ms.low == doctest::Approx(4.975));
  CHECK(result->interval_ms.level == 0.95);
  CHECK(result->kept == 10);
  CHECK(result->processes == 2);
  CHECK(result->verdict == Verdict::Clean);
  CHECK(result->conditions.engine == "xnnpack");
  CHECK(result->conditions.device_fingerprint == "fake-board");
  CHECK(result->conditions.extra.at("agent") == agent.address());
  CHECK_THROWS_WITH_AS(fleet.evaluator("pi5"), "device = pi5, expected one of pi4", ConfigError);
}

TEST_CASE("Fleet tells latencies of all starts of an agent in one reference time, until the board changes") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  const auto life = [&](double median_ms, double reference_ms, int64_t network) {
    FakeAgent::Options options;
    options.median_ms = median_ms;
    options.reference_ms = reference_ms;
    FakeAgent agent(options);
    Fleet fleet({device_of("pi4", {agent.address()})}, &store, "run", impatient());
    const auto result = measure(fleet, "pi4", network);
    REQUIRE(result.ok());
    return std::make_pair(*result, agent.runs());
  };
  CHECK(life(5.0, 1.0, 8).first.median_ms == 5.0);
  // Calibrated 3 % slower, everything looks 3 % slower.
  const LatencyEstimate second = life(5.15, 1.03, 16).first;
  CHECK(second.median_ms == doctest::Approx(5.0));
  CHECK(second.interval_ms.low == doctest::Approx(4.975));
  CHECK(second.interval_ms.high == doctest::Approx(5.025));
  CHECK(second.p99_ms == doctest::Approx(5.1));
  CHECK(second.reference_ms == 1.0);
  CHECK(life(9.0, 1.03, 8).second == 0);  // the first network's latency is known
  // Half as fast: another board, to all purposes.
  const auto changed = life(10.0, 2.0, 24);
  CHECK(changed.first.median_ms == 10.0);
  const auto again = life(10.2, 2.04, 8);
  CHECK(again.second == 1);
  CHECK(again.first.median_ms == doctest::Approx(10.0));
}

TEST_CASE("Fleet answers from the store, unless the plan asks for a fresh or a finer measurement") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  FakeAgent agent;
  const std::vector<DeviceConfig> devices = {device_of("pi4", {agent.address()})};
  {
    Fleet fleet(devices, &store, "run", impatient());
    REQUIRE(measure(fleet, "pi4", 8).ok());
    CHECK(store.size() == 1);
    REQUIRE(measure(fleet, "pi4", 8).ok());
    CHECK(agent.runs() == 1);
  }
  Fleet fleet(devices, &store, "another run", impatient());
  const auto stored = measure(fleet, "pi4", 8);
  REQUIRE(stored.ok());
  CHECK(stored->median_ms == 5.0);
  CHECK(stored->reused);
  CHECK(agent.runs() == 1);
  CHECK(agent.leases_granted() == 1);  // nobody needs the board for what is known

  MeasurementPlan plan;
  plan.fresh = true;
  REQUIRE(measure(fleet, "pi4", 8, plan).ok());
  CHECK(agent.runs() == 2);
  plan.fresh = false;
  plan.target_half_width = 0.005;
  REQUIRE(measure(fleet, "pi4", 8, plan).ok());
  CHECK(agent.runs() == 3);
  REQUIRE(measure(fleet, "pi4", 16).ok());
  CHECK(agent.runs() == 4);
  CHECK(store.size() == 4);
}

TEST_CASE("Fleet measures equal candidates in flight once and answers both") {
  FakeAgent agent;
  agent.hold_measurements(true);
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  search::LatencyEvaluator& evaluator = fleet.evaluator("pi4");
  auto first = evaluator.measure(candidate_of(8), {});
  auto same = evaluator.measure(candidate_of(8), {});
  auto other = evaluator.measure(candidate_of(9), {});
  MeasurementPlan finer;
  finer.target_half_width = 0.002;
  auto more_precise = evaluator.measure(candidate_of(8), finer);
  agent.hold_measurements(false);
  CHECK(get(first).ok());
  CHECK(get(same).ok());
  CHECK(get(other).ok());
  CHECK(get(more_precise).ok());
  CHECK(agent.runs() == 3);
}

TEST_CASE("Fleet waits for a board that another controller holds") {
  FakeAgent agent;
  agent.occupy();
  Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
  auto future = fleet.evaluator("pi4").measure(candidate_of(8), {});
  CHECK(future.wait_for(std::chrono::milliseconds(300)) == std::future_status::timeout);
  CHECK(agent.measure_calls() == 0);
  agent.release();
  CHECK(get(future).ok());
}

TEST_CASE("Fleet shares a board fairly between two controllers") {
  FakeAgent agent;
  FleetOptions options = impatient();
  options.lease_quantum_s = 0.0;  // every job takes its turn
  options.acquire_patience_s = 5.0;
  Fleet one({device_of("pi4", {agent.address()})}, nullptr, "one", options);
  Fleet two({device_of("pi4", {agent.address()})}, nullptr, "two", options);
  agent.hold_measurements(true);
  std::vector<std::future<Result<LatencyEstimate>>> futures;
  for (int64_t job = 0; job < 10; ++job) {
    futures.push_back(one.evaluator("pi4").measure(candidate_of(8 + job), {}));
    futures.push_back(two.evaluator("pi4").measure(candidate_of(8 + job), {}));
  }
  // Both are there before the first turn is taken.
  for (int i = 0; i < 10000 && agent.describes() < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(agent.describes() >= 2);
  agent.hold_measurements(false);
  for (auto& future : futures) CHECK(get(future).ok());
  // Whoever waits has the next turn. (A controller that comes late may find the other at work.)
  const std::vector<std::string> ids = agent.job_ids();
  const std::vector<bool> contended = agent.contended();
  REQUIRE(ids.size() == 20);
  int turns = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    if (!contended[i]) continue;
    ++turns;
    CAPTURE(i);
    CHECK(ids[i + 1].substr(0, 3) != ids[i].substr(0, 3));
  }
  CHECK(turns > 0);
}

TEST_CASE("Fleet gives several boards of a class work at once") {
  FakeAgent first;
  FakeAgent second;
  first.hold_measurements(true);
  second.hold_measurements(true);
  Fleet fleet({device_of("pi4", {first.address(), second.address()})}, nullptr, "run", impatient());
  auto a = fleet.evaluator("pi4").measure(candidate_of(8), {});
  auto b = fleet.evaluator("pi4").measure(candidate_of(9), {});
  CHECK(first.wait_for_measure_calls(1));
  CHECK(second.wait_for_measure_calls(1));
  first.hold_measurements(false);
  second.hold_measurements(false);
  CHECK(get(a).ok());
  CHECK(get(b).ok());
}

TEST_CASE("Fleet's end cancels what runs and what waits") {
  FakeAgent agent;
  agent.script({Act::Hang});
  std::vector<std::future<Result<LatencyEstimate>>> futures;
  {
    Fleet fleet({device_of("pi4", {agent.address()})}, nullptr, "run", impatient());
    for (int64_t job = 0; job < 3; ++job)
      futures.push_back(fleet.evaluator("pi4").measure(candidate_of(8 + job), {}));
    REQUIRE(agent.wait_for_measure_calls(1));
  }
  for (auto& future : futures) {
    const auto result = get(future);
    REQUIRE_FALSE(result.ok());
    CHECK(result.failure().kind == FailureKind::Cancelled);
  }
}

TEST_CASE("Fleet measures, profiles and runs an ONNX file, and refuses a hostile one") {
  const TemporaryFolder folder;
  MeasurementStore store(folder / "m.sqlite");
  FakeAgent agent;
  Fleet fleet({device_of("pi4", {agent.address()})}, &store, "run", impatient());
  const std::string file(3 << 20, 'x');
  for (int i = 0; i < 2; ++i) {
    const auto measured = fleet.measure_model("pi4", file, {});
    REQUIRE(measured.ok());
    CHECK(measured->median_ms == 5.0);
  }
  CHECK(agent.runs() == 2);  // always afresh
  CHECK(agent.uploads() == 1);
  CHECK(store.size() == 2);

  const auto profile = fleet.profile_model("pi4", file, 0.5);
  REQUIRE(profile.ok());
  REQUIRE(profile->size() == 1);
  CHECK(profile->at(0).node == "stem");
  CHECK(profile->at(0).op == "conv2d");
  CHECK(profile->at(0).median_ms == 0.5);
  CHECK(profile->at(0).macs == 1234);

  network::Tensor images;
  images.shape = {700, 1, 28, 28};
  images.values.resize(700 * 28 * 28);
  for (size_t i = 0; i < 700; ++i) images.values[i * 28 * 28] = static_cast<float>(i);
  const auto run = fleet.run_model("pi4", file, images);
  REQUIRE(run.ok());
  CHECK(run->shape == network::Shape{700, 2});
  for (size_t i = 0; i < 700; ++i) {
    CHECK(run->values[2 * i] == static_cast<float>(i));
    CHECK(run->values[2 * i + 1] == 784.0F);
  }
  CHECK(agent.largest_run() == (1 << 20) / 4 / 784);

  const auto hostile = fleet.measure_model("pi4", "hostile bytes", {});
  REQUIRE_FALSE(hostile.ok());
  CHECK(hostile.failure().kind == FailureKind::InvalidModel);
  CHECK(hostile.failure().message == "agent " + agent.address() + ", upload: model: not ONNX");
}

TEST_CASE("Fleet describes all agents of all classes and names those that do not answer") {
  FakeAgent one;
  FakeAgent two;
  FakeAgent gone;
  gone.kill();
  Fleet fleet({device_of("pi4", {one.address(), two.address()}), device_of("pi5", {one.address()})},
              nullptr, "run", impatient());
  const auto all = fleet.describe(10.0);
  REQUIRE(all.size() == 3);
  CHECK(all[0].device == "pi4");
  CHECK(all[0].address == one.address());
  CHECK(all[1].address == two.address());
  CHECK(all[2].device == "pi5");
  CHECK(all[0].model == "Fake Pi");
  REQUIRE(all[0].engines.size() == 1);
  CHECK(all[0].engines[0].precisions == std::vector<std::string>{"fp32"});

  Fleet partial({device_of("pi4", {one.address(), gone.address()})}, nullptr, "run", impatient());
  try {
    partial.describe(0.2);
    FAIL("describe did not throw");
  } catch (const DeviceError& error) {
    const std::string text = error.what();
    CHECK(text.find("device pi4: agent " + gone.address() + ", describe: ") == 0);
    CHECK(text.find(one.address()) == std::string::npos);
  }
}

TEST_CASE("An agent's description says what of a device class it cannot run") {
  AgentDescription agent;
  agent.usable_cores = 4;
  agent.engines = {{"xnnpack", "1", {"fp32", "int8"}, {}}, {"onnxruntime", "2", {"fp32"}, {}}};
  const auto fault = [&](const std::string& engine, Precision precision, int threads) {
    DeviceConfig device;
    device.engine = engine;
    device.precision = precision;
    device.threads = threads;
    return missing_ability(agent, device);
  };
  CHECK(fault("xnnpack", Precision::Int8, 4) == "");
  CHECK(fault("onnxruntime", Precision::Fp32, 1) == "");
  CHECK(fault("tflite", Precision::Fp32, 1) ==
        "engine = tflite, expected one of: xnnpack, onnxruntime");
  CHECK(fault("xnnpack", Precision::Fp16, 1) == "precision = fp16, expected one of: fp32, int8");
  CHECK(fault("onnxruntime", Precision::Int8, 1) == "precision = int8, expected one of: fp32");
  CHECK(fault("xnnpack", Precision::Fp32, 5) ==
        "threads = 5, expected at most its usable cores, 4");
  DeviceConfig device;
  device.plan.energy_s = 5.0;
  CHECK(missing_ability(agent, device).find("energy is asked for, but the board has no sensor") ==
        0);
  agent.energy_sensor = "rapl package-0";
  CHECK(missing_ability(agent, device) == "");
}

TEST_CASE("Fleet refuses plain text beyond loopback, even with a token") {
  DeviceConfig device = device_of("pi4", {"192.0.2.1:50051"});
  device.credentials.token = "secret";
  CHECK_THROWS_WITH_AS(
      Fleet({device}, nullptr, "run", impatient()),
      "agent 192.0.2.1:50051: plain text, expected loopback, TLS or allow_plaintext", DeviceError);
}

}  // namespace
}  // namespace lathe::latency
