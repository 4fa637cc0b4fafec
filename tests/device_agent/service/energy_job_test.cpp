#include <doctest/doctest.h>

#include <algorithm>

#include "core/file.h"
#include "tests/device_agent/service/agent_fixture.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

TEST_CASE("the energy of an inference is measured where the board has a sensor") {
  test::TemporaryFolder board;
  write_file_atomically(board / "sys/class/hwmon/hwmon0/name", "ina260\n");
  write_file_atomically(board / "sys/class/hwmon/hwmon0/power1_input", "5000000\n");
  AgentFixture agent({}, 5.0, board.path());
  grpc::ClientContext context;
  v1::DescribeResponse description;
  REQUIRE(agent.stub().Describe(&context, {}, &description).ok());
  CHECK(description.energy_sensor() == "hwmon0 ina260 power1");
  HeldLease held(agent.stub());
  REQUIRE(held.wait());
  const std::string sha256 = agent.upload(small_model(1));
  v1::MeasureRequest request =
      AgentFixture::quick_request(held.lease(), "energy", sha256, "xnnpack");
  request.mutable_plan()->set_energy_s(0.5);
  const Measured measured = agent.measure(request);
  REQUIRE_MESSAGE(measured.status.ok(), measured.status.error_message());
  REQUIRE_MESSAGE(measured.result.has_energy(), measured.failure.message());
  const v1::Energy& energy = measured.result.energy();
  CHECK(energy.sensor() == "hwmon0 ina260 power1");
  CHECK(energy.power_w() == doctest::Approx(5.0).epsilon(0.02));
  CHECK(energy.mean_mj() > 0.0);
  CHECK(energy.low_mj() <= energy.mean_mj());
  CHECK(energy.mean_mj() <= energy.high_mj());
  // No inference takes less than the fastest block, and 5 W for its time is its energy.
  double fastest_ms = measured.result.block_ms(0);
  for (const double ms : measured.result.block_ms()) fastest_ms = std::min(fastest_ms, ms);
  CHECK(energy.mean_mj() > 0.5 * 5.0 * fastest_ms);
  request = AgentFixture::quick_request(held.lease(), "no energy", sha256, "xnnpack");
  CHECK_FALSE(agent.measure(request).result.has_energy());
}

TEST_CASE("energy without a sensor, or of one that stands still, fails the job with the reason") {
  test::TemporaryFolder board;
  AgentFixture without({}, 5.0, board.path());
  const auto failure = [](AgentFixture& agent) {
    HeldLease held(agent.stub());
    REQUIRE(held.wait());
    const std::string sha256 = agent.upload(small_model(1));
    v1::MeasureRequest request =
        AgentFixture::quick_request(held.lease(), "energy", sha256, "xnnpack");
    request.mutable_plan()->set_energy_s(0.5);
    return agent.measure(request).failure;
  };
  CHECK(failure(without).kind() == "unsupported");
  CHECK(failure(without).message().find("energy: the board has no sensor") == 0);
  write_file_atomically(board / "sys/class/powercap/intel-rapl:0/name", "package-0\n");
  write_file_atomically(board / "sys/class/powercap/intel-rapl:0/energy_uj", "123\n");
  AgentFixture still({}, 5.0, board.path());
  CHECK(failure(still).kind() == "unsupported");
  CHECK(failure(still).message().find("energy sensor rapl package-0: shows no energy within") == 0);
}
