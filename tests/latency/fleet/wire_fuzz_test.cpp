#include "tests/fuzz/wire_fuzz.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "core/rng.h"
#include "device_agent/service/wire.h"
#include "latency/fleet/mdns_message.h"
#include "latency/fleet/wire.h"
#include "lathe/internal/worker.pb.h"
#include "lathe/v1/device_agent.pb.h"
#include "tests/fuzz/seeds.h"

using namespace lathe;

namespace {

std::string input(WireInput kind, const std::string& bytes) {
  return static_cast<char>(kind) + bytes;
}

std::string framed(const std::string& message) {
  std::string bytes;
  for (size_t i = 0; i < 4; ++i) bytes += static_cast<char>(message.size() >> (8 * i));
  return bytes + message;
}

latency::LatencyEstimate full_estimate() {
  latency::LatencyEstimate estimate;
  estimate.median_ms = 12.5;
  estimate.interval_ms = {12.4, 12.6, 0.95};
  estimate.p90_ms = 13.0;
  estimate.p99_ms = 14.0;
  estimate.kept = 40;
  estimate.wall_s = 1.5;
  estimate.energy = latency::EnergyEstimate{5.5, {5.4, 5.6, 0.95}, 0.45, "rapl package-0"};
  estimate.conditions.engine = "xnnpack";
  estimate.conditions.precision = latency::Precision::Int8;
  estimate.conditions.extra = {{"reference_drift", "+0.0100"}};
  return estimate;
}

v1::MeasurementPlan full_plan() {
  v1::MeasurementPlan plan;
  latency::MeasurementPlan from;
  from.sustain_s = 60.0;
  from.energy_s = 5.0;
  latency::wire::fill(from, plan);
  return plan;
}

v1::DescribeResponse full_description() {
  v1::DescribeResponse response;
  response.set_model("Raspberry Pi 4 Model B Rev 1.4");
  v1::EngineInfo& engine = *response.add_engines();
  engine.set_name("xnnpack");
  engine.add_precisions(v1::PRECISION_FP32);
  engine.add_operators("conv2d");
  *response.add_findings() =
      device::to_wire({device::Severity::Warning, "governor", "ondemand", "noise", "set it"});
  return response;
}

std::string worker_stream() {
  internal::WorkerEvent loaded;
  loaded.mutable_loaded()->set_candidate_s(1e-3);
  internal::WorkerEvent blocks;
  blocks.mutable_blocks_done()->add_blocks()->set_candidate_s(1e-3);
  internal::WorkerEvent failed;
  failed.mutable_failed()->set_kind("out_of_memory");
  return framed(loaded.SerializeAsString()) + framed(blocks.SerializeAsString()) +
         framed(failed.SerializeAsString());
}

std::vector<std::string> valid_inputs() {
  return {
      input(WireInput::Plan, full_plan().SerializeAsString()),
      input(WireInput::Result, device::to_wire(full_estimate()).SerializeAsString()),
      input(WireInput::Description, full_description().SerializeAsString()),
      input(WireInput::Failure,
            device::to_wire(Failure{FailureKind::Crashed, "SIGSEGV"}).SerializeAsString()),
      input(WireInput::Worker, worker_stream()),
      input(WireInput::Discovery, latency::mdns::encode_query(
                                      {{"_lathe-agent._tcp.local", latency::mdns::RecordType::Ptr},
                                       {"pi4.local", latency::mdns::RecordType::A}}))};
}

void feed(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

/// Changes, removes or repeats bytes in one to four places.
std::string mutated(std::string bytes, Rng& rng) {
  const int64_t changes = rng.integer(1, 4);
  for (int64_t i = 0; i < changes && bytes.size() > 1; ++i) {
    const size_t at = 1 + rng.below(bytes.size() - 1);
    const size_t length = std::min<size_t>(rng.below(8) + 1, bytes.size() - at);
    switch (rng.below(4)) {
      case 0:
        bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << rng.below(8));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      default:
        bytes.insert(at, bytes.substr(at, length));
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("what both ends of the wire say is read by the other") {
  const std::vector<std::string> inputs = valid_inputs();
  test::keep_seeds("wire", inputs);
  for (const std::string& bytes : inputs) CHECK_NOTHROW(feed(bytes));
  const auto plan = device::from_wire(full_plan());
  REQUIRE(plan.ok());
  CHECK(plan->sustain_s == 60.0);
  CHECK(plan->energy_s == 5.0);
  const auto estimate = latency::wire::estimate_of(device::to_wire(full_estimate()), "agent");
  REQUIRE(estimate.ok());
  CHECK(latency::to_json(*estimate) == latency::to_json(full_estimate()));
}

TEST_CASE("a count beyond every integer is refused by name") {
  v1::MeasurementPlan plan = full_plan();
  plan.set_max_blocks(3370080000U);
  const auto read = device::from_wire(plan);
  REQUIRE_FALSE(read.ok());
  CHECK(read.failure().message.find("plan.max_blocks = 3.37008e+09, expected ") == 0);
}

TEST_CASE("a result whose interval has no level is refused: no journal could keep it") {
  for (const double level : {0.0, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    v1::LatencyResult result = device::to_wire(full_estimate());
    result.set_level(level);
    CHECK_FALSE(latency::wire::estimate_of(result, "agent").ok());
  }
}

TEST_CASE("thousands of mutated messages are read or refused, and never anything else") {
  const std::vector<std::string> inputs = valid_inputs();
  const Rng root(33);
  for (uint64_t i = 0; i < 30000; ++i) {
    Rng rng = root.derive("mutation", i);
    CAPTURE(i);
    CHECK_NOTHROW(feed(mutated(inputs[i % inputs.size()], rng)));
  }
}

TEST_CASE("every prefix of a message is read or refused") {
  for (const std::string& bytes : valid_inputs()) {
    for (size_t size = 0; size <= bytes.size(); ++size) CHECK_NOTHROW(feed(bytes.substr(0, size)));
  }
}
