#include "device_agent/board/energy_meter.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "device_agent/board/doctor.h"
#include "device_agent/board/power_chip.h"
#include "tests/device_agent/board/recorded_boards.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> names(const fs::path& root) {
  std::vector<std::string> found;
  for (const EnergySource& source : energy_sources(root)) found.push_back(source.name);
  return found;
}

const fs::path kChip = "sys/class/hwmon/hwmon0";
/// In the form in which a Raspberry Pi 5 answers, with fewer rails.
constexpr char kRails[] =
    "   3V3_SYS_A current(1)=0.05000000A\n"
    "   1V8_SYS_A current(2)=0.17000000A\n"
    "    0V8_SW_A current(6)=0.30000000A\n"
    "  VDD_CORE_A current(7)=1.50000000A\n"
    "   3V3_SYS_V volt(9)=3.31000000V\n"
    "   1V8_SYS_V volt(10)=1.80000000V\n"
    "    0V8_SW_V volt(14)=0.80000000V\n"
    "  VDD_CORE_V volt(15)=0.90000000V\n"
    "     EXT5V_V volt(24)=5.10000000V\n"
    "      BATT_V volt(25)=0.00000000V\n";

const fs::path kPackage = "sys/class/powercap/intel-rapl:0";

void record_rapl(const fs::path& root, int64_t energy_uj) {
  write(root / kPackage / "name", "package-0\n");
  write(root / kPackage / "energy_uj", std::to_string(energy_uj) + "\n");
  write(root / kPackage / "max_energy_range_uj", "262143328850\n");
}

}  // namespace

TEST_CASE("a board without a sensor has no source") {
  test::TemporaryFolder folder;
  record_pi4(folder.path());
  CHECK(names(folder.path()).empty());
  CHECK_FALSE(choose_energy_source(folder.path(), "").has_value());
  CHECK(test::message_of<DeviceError>([&] { choose_energy_source(folder.path(), "ina"); }) ==
        "energy sensor ina: not on this board, expected none: it has no sensor that can be read");
}

TEST_CASE("of several power sensors the one that feeds the others comes first") {
  test::TemporaryFolder folder;  // as a module with an INA3221 on three rails shows it
  write(folder.path() / kChip / "name", "ina3221\n");
  for (const auto& [channel, ma] : {std::pair{"1", 900}, std::pair{"2", 2500}, std::pair{"3", 0}}) {
    write(folder.path() / kChip / ("curr" + std::string(channel) + "_input"), std::to_string(ma));
    write(folder.path() / kChip / ("in" + std::string(channel) + "_input"), "5000");
  }
  record_rapl(folder.path(), 1);
  write(folder.path() / "sys/class/hwmon/hwmon1/name", "scmi_sensors\n");
  write(folder.path() / "sys/class/hwmon/hwmon1/energy1_input", "123456");
  // A rail that shows nothing is not wired.
  CHECK(names(folder.path()) ==
        std::vector<std::string>{"hwmon0 ina3221 curr2", "hwmon0 ina3221 curr1",
                                 "hwmon1 scmi_sensors energy1", "rapl package-0"});
  CHECK(choose_energy_source(folder.path(), "")->name == "hwmon0 ina3221 curr2");
  CHECK(choose_energy_source(folder.path(), "rapl package-0")->kind == EnergySource::Kind::Counter);
  CHECK(test::message_of<DeviceError>([&] {
          choose_energy_source(folder.path(), "x");
        }).find("expected one of: hwmon0 ina3221 curr2, ") != std::string::npos);
}

TEST_CASE("a chip that multiplies itself is taken at its word") {
  test::TemporaryFolder folder;
  write(folder.path() / kChip / "name", "ina260\n");
  write(folder.path() / kChip / "power1_input", "4200000");
  write(folder.path() / kChip / "curr1_input", "840");
  write(folder.path() / kChip / "in1_input", "5000");
  CHECK(names(folder.path()) == std::vector<std::string>{"hwmon0 ina260 power1"});
}

TEST_CASE("RAPL counts the platform before a package, and no part of a package") {
  test::TemporaryFolder folder;
  record_rapl(folder.path(), 5);
  for (const auto& [zone, name] :
       {std::pair{"intel-rapl:0:0", "core"}, std::pair{"intel-rapl:1", "psys"}}) {
    write(folder.path() / "sys/class/powercap" / zone / "name", name);
    write(folder.path() / "sys/class/powercap" / zone / "energy_uj", "7");
  }
  CHECK(names(folder.path()) == std::vector<std::string>{"rapl psys", "rapl package-0"});
}

TEST_CASE("power is integrated between samples, current times voltage likewise") {
  test::TemporaryFolder folder;
  write(folder.path() / kChip / "name", "ina219\n");
  write(folder.path() / kChip / "curr1_input", "1000\n");
  write(folder.path() / kChip / "in1_input", "5000\n");
  ManualClock clock;
  EnergyMeter meter(energy_sources(folder.path()).at(0), clock);
  meter.start();
  clock.advance_s(2.0);
  meter.sample();  // 5 W for 2 s
  CHECK(meter.joules() == doctest::Approx(10.0));
  write(folder.path() / kChip / "curr1_input", "2000\n");
  clock.advance_s(1.0);
  meter.sample();  // from 5 W to 10 W in 1 s
  CHECK(meter.joules() == doctest::Approx(17.5));
  meter.start();
  CHECK(meter.joules() == 0.0);
}

TEST_CASE("a counter is read as it counts, and over its end") {
  test::TemporaryFolder folder;
  record_rapl(folder.path(), 262143000000);
  ManualClock clock;
  EnergyMeter meter(energy_sources(folder.path()).at(0), clock);
  meter.start();
  record_rapl(folder.path(), 262143300000);
  clock.advance_s(1.0);
  meter.sample();
  CHECK(meter.joules() == doctest::Approx(0.3));
  record_rapl(folder.path(), 1000000);
  meter.sample();
  CHECK(meter.joules() == doctest::Approx(0.3 + 0.02885 + 1.0));
}

TEST_CASE("the power chip of a Raspberry Pi 5 shows the power of its rails") {
  CHECK(power_of_rails_w(kRails).value() ==
        doctest::Approx(0.05 * 3.31 + 0.17 * 1.8 + 0.3 * 0.8 + 1.5 * 0.9));
  for (const char* nothing :
       {"", "error=1 error_msg=\"Command not registered\"", "EXT5V_V volt(24)=5.1V",
        "VDD_CORE_A current(7)=much\nVDD_CORE_V volt(15)=0.9V", "=\n_A\nA =1\n"}) {
    CHECK_FALSE(power_of_rails_w(nothing).has_value());
  }
  test::TemporaryFolder folder;
  record_pi5(folder.path());
  CHECK(names(folder.path()).empty());  // no right to ask: the node is not there for the service
  write(folder.path() / "dev/vcio", kRails);
  REQUIRE(names(folder.path()) == std::vector<std::string>{"pmic rails"});
  ManualClock clock;
  EnergyMeter meter(energy_sources(folder.path()).at(0), clock);
  meter.start();
  clock.advance_s(2.0);
  meter.sample();
  CHECK(meter.joules() == doctest::Approx(2.0 * 2.0615));
  write(folder.path() / "dev/vcio", "error=1");
  CHECK(test::message_of<DeviceError>([&] { meter.sample(); }).find("energy sensor pmic rails: ") ==
        0);
  // A monitor on the supply feeds the rails: it shows more.
  write(folder.path() / "dev/vcio", kRails);
  write(folder.path() / kChip / "name", "ina260\n");
  write(folder.path() / kChip / "power1_input", "4200000");
  CHECK(names(folder.path()) == std::vector<std::string>{"hwmon0 ina260 power1", "pmic rails"});
}

TEST_CASE("an earlier Raspberry Pi, or a device that is no mailbox, has no power chip") {
  test::TemporaryFolder folder;
  record_pi4(folder.path());
  write(folder.path() / "dev/vcio", kRails);
  CHECK(names(folder.path()).empty());
  CHECK_FALSE(ask_firmware("/dev/null", "pmic_read_adc").has_value());
  CHECK_FALSE(ask_firmware(folder.path() / "nothing", "pmic_read_adc").has_value());
}

TEST_CASE("a sensor that goes away says so") {
  test::TemporaryFolder folder;
  record_rapl(folder.path(), 5);
  ManualClock clock;
  const EnergySource source = energy_sources(folder.path()).at(0);
  EnergyMeter meter(source, clock);
  write(source.file, "");
  CHECK_THROWS_AS(meter.start(), DeviceError);
  fs::remove(source.file);
  CHECK(test::message_of<DeviceError>([&] {
          EnergyMeter(source, clock);
        }).find("energy sensor rapl package-0: " + source.file.string() + " cannot be opened") ==
        0);
}

TEST_CASE("the doctor names a sensor that is closed to the agent") {
  test::TemporaryFolder folder;
  record_pi5(folder.path());
  record_rapl(folder.path(), 5);
  const auto examine = [&] {
    return Doctor({folder.path(), {0, 1, 2, 3}, int64_t{512} << 20, false}).examine(false);
  };
  CHECK(examine().empty());
  fs::remove(folder.path() / kPackage / "energy_uj");
  fs::create_directory(folder.path() / kPackage / "energy_uj");  // is there, cannot be read
  const std::vector<Finding> findings = examine();
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].topic == "energy");
  CHECK(findings[0].remedy.find("sudo chmod a+r /sys/class/powercap/intel-rapl:0/energy_uj") == 0);
}
