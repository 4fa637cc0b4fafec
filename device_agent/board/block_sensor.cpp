#include "device_agent/board/block_sensor.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "device_agent/board/core_ticks.h"
#include "device_agent/board/system_files.h"

namespace lathe::device {

namespace fs = std::filesystem;

namespace {

constexpr size_t kStatBytes = size_t{64} << 10;

double clock_s(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int open_for_reading(const fs::path& path) { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }

// The number at the start of the file, or `otherwise`.
long long read_again(int descriptor, int base, long long otherwise) {
  char text[64];
  const ssize_t count = ::pread(descriptor, text, sizeof text - 1, 0);
  if (count <= 0) return otherwise;
  text[count] = '\0';
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, base);
  return end == text ? otherwise : value;
}

}  // namespace

BlockSensor::BlockSensor(const fs::path& root, std::vector<int> cores, bool single_thread)
    : cores_(std::move(cores)),
      single_thread_(single_thread),
      tick_s_(1.0 / static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)))),
      buffer_(kStatBytes, '\0') {
  stat_ = open_for_reading(root / "proc/stat");
  throttled_ = open_for_reading(throttle_file(root));
  for (const int core : cores_) {
    const fs::path folder =
        root / ("sys/devices/system/cpu/cpu" + std::to_string(core)) / "cpufreq";
    const int descriptor = open_for_reading(folder / "scaling_cur_freq");
    if (descriptor >= 0) frequencies_.push_back(descriptor);
    // Only a driver with fixed steps runs a busy core at its highest one; others boost as they
    // like.
    if (!fs::exists(folder / "scaling_available_frequencies")) continue;
    const double highest =
        1e3 * static_cast<double>(read_number(folder / "scaling_max_freq").value_or(0));
    planned_frequency_hz_ =
        planned_frequency_hz_ > 0.0 ? std::min(planned_frequency_hz_, highest) : highest;
  }
  for (int zone = 0; zone < 64; ++zone) {
    const int descriptor =
        open_for_reading(root / ("sys/class/thermal/thermal_zone" + std::to_string(zone)) / "temp");
    if (descriptor >= 0) zones_.push_back(descriptor);
  }
}

BlockSensor::~BlockSensor() {
  std::vector<int> all = frequencies_;
  all.insert(all.end(), zones_.begin(), zones_.end());
  all.push_back(stat_);
  all.push_back(throttled_);
  for (const int descriptor : all) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

void BlockSensor::read_stat(SensorReading& reading) {
  if (stat_ < 0) return;
  const ssize_t count = ::pread(stat_, buffer_.data(), buffer_.size() - 1, 0);
  if (count <= 0) return;
  buffer_[static_cast<size_t>(count)] = '\0';
  for (const int core : cores_) {
    const std::optional<CoreTicks> ticks = core_ticks(buffer_.c_str(), core);
    if (!ticks) continue;
    reading.irq_s += tick_s_ * ticks->irq;
    reading.steal_s += tick_s_ * ticks->steal;
  }
}

SensorReading BlockSensor::read() {
  SensorReading reading;
  read_stat(reading);
  for (const int descriptor : frequencies_) {
    const double hz = 1e3 * static_cast<double>(read_again(descriptor, 10, 0));
    if (hz > 0.0)
      reading.frequency_hz = reading.frequency_hz > 0.0 ? std::min(reading.frequency_hz, hz) : hz;
  }
  if (throttled_ >= 0)
    reading.throttle_bits = static_cast<uint32_t>(read_again(throttled_, 16, 0)) & 0xFU;
  for (const int descriptor : zones_) {
    reading.temperature_c = std::max(reading.temperature_c,
                                     static_cast<double>(read_again(descriptor, 10, -1000)) / 1e3);
  }
  rusage usage{};
  getrusage(single_thread_ ? RUSAGE_THREAD : RUSAGE_SELF, &usage);
  reading.involuntary_switches = usage.ru_nivcsw;
  reading.thread_cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID);
  reading.wall_s = clock_s(CLOCK_MONOTONIC);
  return reading;
}

latency::BlockConditions BlockSensor::between(const SensorReading& before,
                                              const SensorReading& after) const {
  latency::BlockConditions conditions;
  conditions.duration_s = after.wall_s - before.wall_s;
  conditions.involuntary_switches = after.involuntary_switches - before.involuntary_switches;
  if (single_thread_) {
    conditions.off_cpu_s =
        std::max(0.0, conditions.duration_s - (after.thread_cpu_s - before.thread_cpu_s));
  }
  conditions.steal_s = after.steal_s - before.steal_s;
  conditions.irq_s = after.irq_s - before.irq_s;
  conditions.frequency_hz = before.frequency_hz > 0.0 && after.frequency_hz > 0.0
                                ? std::min(before.frequency_hz, after.frequency_hz)
                                : std::max(before.frequency_hz, after.frequency_hz);
  conditions.planned_frequency_hz = planned_frequency_hz_;
  conditions.throttle_bits = before.throttle_bits | after.throttle_bits;
  conditions.temperature_c = std::max(before.temperature_c, after.temperature_c);
  return conditions;
}

}  // namespace lathe::device
