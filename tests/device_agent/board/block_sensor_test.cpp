#include "device_agent/board/block_sensor.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "device_agent/board/system_files.h"
#include "tests/device_agent/board/recorded_boards.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

// Two cores; the counters of core 1 are `irq`, `soft` and `steal` ticks.
void write_stat(const std::filesystem::path& root, int irq, int soft, int steal) {
  write(root / "proc/stat", "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 4 5 " +
                                std::to_string(irq) + " " + std::to_string(soft) + " " +
                                std::to_string(steal) + " 0 0\nintr 5\n");
}

}  // namespace

TEST_CASE("the sensor sees interrupts, stolen time, clock, heat and throttling of its core") {
  test::TemporaryFolder folder;
  const auto& root = folder.path();
  const double tick_s = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  write_stat(root, 10, 20, 30);
  const auto cpufreq = root / "sys/devices/system/cpu/cpu1/cpufreq";
  write(cpufreq / "scaling_cur_freq", "1800000\n");
  write(cpufreq / "scaling_max_freq", "1800000\n");
  write(cpufreq / "scaling_available_frequencies", "600000 1800000\n");
  write(root / "sys/class/thermal/thermal_zone0/temp", "50000\n");
  write(root / "sys/class/thermal/thermal_zone3/temp", "61500\n");
  write(root / "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n");
  BlockSensor sensor(root, {1}, true);
  const SensorReading before = sensor.read();
  CHECK(before.throttle_bits == 0);  // only what is so now counts
  write_stat(root, 11, 22, 35);
  write(cpufreq / "scaling_cur_freq", "600000\n");
  write(root / "sys/devices/platform/soc/soc:firmware/get_throttled", "50002\n");
  const latency::BlockConditions conditions = sensor.between(before, sensor.read());
  CHECK(conditions.irq_s == doctest::Approx(3 * tick_s));
  CHECK(conditions.steal_s == doctest::Approx(5 * tick_s));
  CHECK(conditions.frequency_hz == 600e6);
  CHECK(conditions.planned_frequency_hz == 1800e6);
  CHECK(conditions.temperature_c == doctest::Approx(61.5));
  CHECK(conditions.throttle_bits == 2);
  CHECK(conditions.duration_s > 0.0);
  CHECK(conditions.off_cpu_s >= 0.0);
}

TEST_CASE("what a board does not have is unknown") {
  test::TemporaryFolder folder;
  BlockSensor sensor(folder.path(), {0}, false);
  const SensorReading before = sensor.read();
  const latency::BlockConditions conditions = sensor.between(before, sensor.read());
  CHECK(conditions.frequency_hz == 0.0);
  CHECK(conditions.planned_frequency_hz == 0.0);
  CHECK(conditions.temperature_c == -1.0);
  CHECK(conditions.throttle_bits == 0);
  CHECK(conditions.off_cpu_s == -1.0);  // several threads: wall and CPU time do not compare
}

TEST_CASE("a driver that boosts as it likes has no planned frequency") {
  test::TemporaryFolder folder;
  write(folder.path() / "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "4000000\n");
  BlockSensor sensor(folder.path(), {0}, true);
  const SensorReading reading = sensor.read();
  CHECK(sensor.between(reading, reading).planned_frequency_hz == 0.0);
}

TEST_CASE("lists of cores and numbers are read strictly") {
  CHECK(parse_core_list("0-3,5\n") == std::vector<int>{0, 1, 2, 3, 5});
  CHECK(parse_core_list("7") == std::vector<int>{7});
  CHECK(parse_core_list("").empty());
  CHECK(parse_core_list("x,2") == std::vector<int>{2});
  CHECK(parse_core_list("0-1000000000").size() == 4097);  // a hostile range stays small
  test::TemporaryFolder folder;
  write(folder.path() / "number", " 42\n");
  CHECK(read_number(folder.path() / "number") == 42);
  write(folder.path() / "number", "0x50005\n");
  CHECK(read_number(folder.path() / "number") == 0x50005);
  for (const char* bad : {"", "x", "4x", "\n"}) {
    write(folder.path() / "number", bad);
    CHECK_FALSE(read_number(folder.path() / "number").has_value());
  }
  CHECK_FALSE(read_number(folder.path() / "missing").has_value());
}
