#pragma once

#include <cstdint>
#include <string>

namespace lathe {

/// Time as a collaborator, so that tests need no sleeping. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Seconds from an arbitrary start; never goes back.
  virtual double now_s() const = 0;
  /// Waits at least `seconds`.
  virtual void sleep_s(double seconds) = 0;
};

/// The present time in UTC as ISO 8601, "2024-05-01T12:30:00Z".
std::string utc_now();

/// The present time in seconds since 1970; goes back when somebody sets the clock.
int64_t unix_now_s();

/// Returns the day of a Unix time in UTC, "2024-05-01".
std::string utc_date(int64_t unix_s);

/// CLOCK_MONOTONIC. The one instance lives for the whole program.
Clock& steady_clock();

/// A clock that moves only when told to; sleeping moves it. Not thread-safe.
class ManualClock : public Clock {
 public:
  double now_s() const override { return now_s_; }
  void sleep_s(double seconds) override { now_s_ += seconds; }
  void advance_s(double seconds) { now_s_ += seconds; }

 private:
  double now_s_ = 0.0;
};

}  // namespace lathe
