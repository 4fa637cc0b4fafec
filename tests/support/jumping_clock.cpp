#include "tests/support/jumping_clock.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <ctime>

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kSlice = kSecond / 20;  // a wait looks at the clock again after so long

std::atomic<int64_t> offset{0};  // ns

/// The library's own function behind the one of this file.
template <typename F>
F* behind(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

int real_clock(clockid_t clock, timespec* time) {
  static const auto kReal = behind<int(clockid_t, timespec*)>("clock_gettime");
  return kReal(clock, time);
}

int64_t to_ns(const timespec& time) { return int64_t{time.tv_sec} * kSecond + time.tv_nsec; }

timespec to_timespec(int64_t ns) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(ns / kSecond);
  time.tv_nsec = static_cast<long>(ns % kSecond);
  return time;
}

int64_t now(clockid_t clock) {
  timespec time{};
  real_clock(clock, &time);
  return to_ns(time) + (clock == CLOCK_REALTIME ? offset.load() : 0);
}

using Arguments = std::array<long, 6>;

long real_syscall(long number, const Arguments& a) {
  static const auto kReal = behind<long(long, ...)>("syscall");
  return kReal(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/// A futex wait until a wall time, in slices of the monotonic clock.
long wait_until_wall_time(long number, const Arguments& arguments) {
  const int64_t deadline = to_ns(*reinterpret_cast<const timespec*>(arguments[3]));
  for (;;) {
    const int64_t left = std::max<int64_t>(0, deadline - now(CLOCK_REALTIME));
    const timespec until = to_timespec(now(CLOCK_MONOTONIC) + std::min(left, kSlice));
    Arguments changed = arguments;
    changed[1] &= ~long{FUTEX_CLOCK_REALTIME};
    changed[3] = reinterpret_cast<long>(&until);
    const long result = real_syscall(number, changed);
    if (result == 0 || errno != ETIMEDOUT || left <= kSlice) return result;
  }
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int result = real_clock(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) *time = to_timespec(to_ns(*time) + offset.load());
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  const int64_t ns = now(CLOCK_REALTIME);
  time->tv_sec = static_cast<time_t>(ns / kSecond);
  time->tv_usec = static_cast<suseconds_t>(ns % kSecond / 1000);
  return 0;
}

long syscall(long number, ...) noexcept {
  Arguments arguments{};
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  const bool waits_for_wall_time = number == SYS_futex && arguments[3] != 0 &&
                                   (arguments[1] & FUTEX_CLOCK_REALTIME) != 0 &&
                                   (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
  return waits_for_wall_time ? wait_until_wall_time(number, arguments)
                             : real_syscall(number, arguments);
}

}  // extern "C"

namespace lathe::test {

void jump_wall_clock(double seconds) {
  offset += static_cast<int64_t>(seconds * static_cast<double>(kSecond));
}

double wall_clock_offset_s() { return static_cast<double>(offset) / static_cast<double>(kSecond); }

}  // namespace lathe::test
