#include "latency/fleet/device_config.h"

#include <doctest/doctest.h>

#include <fstream>

#include "core/error.h"
#include "tests/support/temporary_folder.h"

namespace lathe::latency {
namespace {

std::vector<DeviceConfig> read(const std::string& yaml) {
  ConfigDocument document = ConfigDocument::read_text(yaml, "d.yaml");
  ConfigSection root = document.root();
  std::vector<DeviceConfig> devices = read_devices(root.sections("devices"));
  root.finish();
  document.throw_if_faults();
  return devices;
}

std::string fault_of(const std::string& yaml) {
  try {
    read(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("read_devices gives one local device for an absent list") {
  const auto devices = read("{}");
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].name == "local");
  CHECK(devices[0].shares_host());
  CHECK(devices[0].engine == "xnnpack");
}

TEST_CASE("read_devices reads every key") {
  const lathe::test::TemporaryFolder folder;
  std::ofstream(folder / "token") << "secret\n";
  const auto devices = read(R"(
devices:
  - name: pi4
    agents: ["pi4-a.local:50051", "[fe80::1]:50051"]
    engine: onnxruntime
    threads: 4
    precision: int8
    memory_limit: 64MB
    give_up: 2min
    token_file: )" + (folder / "token").string() +
                            R"(
    tls: {ca: ca.pem, certificate: me.pem, key: me.key}
    measure: {half_width: 0.02, budget: 5s, min_blocks: 6, max_blocks: 50, processes: 3, min_block: 5ms}
  - name: desk
  - {name: found, agents: [dns-sd], allow_plaintext: true}
  - {name: here, agents: ["127.0.0.1:50051"]}
  - {name: tunnel, agents: ["127.0.0.1:50052"], shares_host: false}
)");
  REQUIRE(devices.size() == 5);
  CHECK(devices[3].shares_host());
  CHECK_FALSE(devices[4].shares_host());
  CHECK(devices[2].agents == std::vector<std::string>{kDiscover});
  CHECK_FALSE(devices[2].shares_host());
  const DeviceConfig& pi4 = devices[0];
  CHECK(pi4.name == "pi4");
  CHECK(pi4.agents == std::vector<std::string>{"pi4-a.local:50051", "[fe80::1]:50051"});
  CHECK_FALSE(pi4.shares_host());
  CHECK(pi4.engine == "onnxruntime");
  CHECK(pi4.threads == 4);
  CHECK(pi4.precision == Precision::Int8);
  CHECK(pi4.memory_limit_bytes == 64'000'000);
  CHECK(pi4.give_up_s == 120.0);
  CHECK(pi4.credentials.token == "secret");
  CHECK(pi4.credentials.ca == "ca.pem");
  CHECK(pi4.credentials.key == "me.key");
  CHECK(pi4.plan.target_half_width == 0.02);
  CHECK(pi4.plan.budget_s == 5.0);
  CHECK(pi4.plan.min_blocks == 6);
  CHECK(pi4.plan.max_blocks == 50);
  CHECK(pi4.plan.processes == 3);
  CHECK(pi4.plan.min_block_s == doctest::Approx(0.005));
  CHECK(devices[1].shares_host());
}

TEST_CASE("read_devices finds every fault of a list") {
  const std::string faults = fault_of(R"(devices:
  - name: pi 4
    agents: ["pi4:0"]
    threads: 0
  - name: pi4
    agents: ["localhost:1", "localhost:1"]
    precison: int8
  - name: pi4
    measure: {half_width: 0, max_blocks: 3, min_blocks: 5}
  - name: far
    agents: ["far.local:50051"]
  - name: tls
    agents: ["far.local:50051"]
    token_file: /nowhere/token
    tls: {ca: ca.pem, key: me.key}
)");
  for (const char* expected : {
           "d.yaml:2: /devices/0/name = pi 4, expected letters, digits, '_', '-' and '.'",
           "/devices/0/agents",
           "host:port with a port from 1 to 65535, such as pi4.local:50051, instead of 'pi4:0'",
           "/devices/0/threads = 0",
           "each agent once, localhost:1 is repeated",
           "precison",
           "/devices/2/name = pi4, expected each device's name once",
           "/devices/2/measure/half_width",
           "/devices/2/measure/max_blocks = 3, expected at least min_blocks",
           "/devices/3/agents = [\"far.local:50051\"], expected tls or allow_plaintext: true for "
           "far.local:50051 beyond loopback",
           "/devices/4/token_file = /nowhere/token, expected a readable file: ",
           "expected certificate and key together",
       }) {
    CAPTURE(faults);
    CAPTURE(std::string(expected));
    CHECK(faults.find(expected) != std::string::npos);
  }
}

TEST_CASE("is_loopback knows this machine from names that only begin like it") {
  for (const char* address : {"127.0.0.1:1", "127.9.8.7:50051", "localhost:2", "[::1]:3"}) {
    CAPTURE(std::string(address));
    CHECK(is_loopback(address));
  }
  for (const char* address :
       {"127.0.0.1.example.org:1", "localhost.example.org:1", "10.0.0.1:1", "pi4:1", "[::2]:1"}) {
    CAPTURE(std::string(address));
    CHECK_FALSE(is_loopback(address));
  }
}

TEST_CASE("address_fault refuses what is not host:port") {
  for (const char* address : {"", ":1", "pi4", "pi4:", "pi4:x", "pi4:65536", "pi4:123456",
                              "::1:50051", "a b:1", "http://pi4:1", "[]:1", "pi4:-1"}) {
    CAPTURE(std::string(address));
    CHECK_FALSE(address_fault(address).empty());
  }
  CHECK(address_fault("pi4.local:65535").empty());
  CHECK(address_fault("[fe80::1]:1").empty());
}

}  // namespace
}  // namespace lathe::latency
