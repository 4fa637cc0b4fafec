#include "tests/support/wall_clock.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace {

constexpr int64_t kNanoseconds = 1000000000;

std::atomic<int64_t> moved_ns{0};

int64_t wall_ns() {
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * kNanoseconds + now.tv_nsec + moved_ns.load();
}

}  // namespace

namespace lathe::test {

void jump_wall_clock_s(double seconds) { moved_ns += static_cast<int64_t>(1e9 * seconds); }

}  // namespace lathe::test

// A program's own definitions go before those of the C library, for its shared libraries, too.
extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
    return static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
  }
  const int64_t wall = wall_ns();
  now->tv_sec = static_cast<time_t>(wall / kNanoseconds);
  now->tv_nsec = static_cast<long>(wall % kNanoseconds);
  return 0;
}

time_t time(time_t* now) noexcept {
  const auto seconds = static_cast<time_t>(wall_ns() / kNanoseconds);
  if (now != nullptr) *now = seconds;
  return seconds;
}

int gettimeofday(timeval* now, void*) noexcept {
  const int64_t wall = wall_ns();
  now->tv_sec = static_cast<time_t>(wall / kNanoseconds);
  now->tv_usec = static_cast<suseconds_t>(wall % kNanoseconds / 1000);
  return 0;
}

}  // extern "C"
