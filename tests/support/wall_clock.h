#pragma once

namespace lathe::test {

/// From now on this process sees the time of day moved by `seconds` more, as when somebody sets the
/// system's clock; the steady clock goes on. Programs that link wall_clock.cpp only. Thread-safe.
void jump_wall_clock_s(double seconds);

}  // namespace lathe::test
