#pragma once

namespace lathe::test {

/// Sets this process's wall clock forward by `seconds` (or back), as NTP does on a board without a
/// clock of its own. Programs that link jumping_clock.cpp see the moved clock in clock_gettime() and
/// gettimeofday(), and what waits until a wall time (gRPC's condition variables) wakes early or
/// late by it. The monotonic clock goes on. Linux; thread-safe.
void jump_wall_clock(double seconds);

/// How far the wall clock was set so far, in seconds.
double wall_clock_offset_s();

}  // namespace lathe::test
