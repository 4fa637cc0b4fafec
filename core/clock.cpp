#include "core/clock.h"

#include <array>
#include <ctime>
#include <thread>

namespace lathe {
namespace {

class SteadyClock final : public Clock {
 public:
  double now_s() const override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  void sleep_s(double seconds) override {
    if (seconds > 0.0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }
};

bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int days_of_month(int year, int month) {  // 0: January
  constexpr std::array<int, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDays.at(static_cast<size_t>(month)) + (month == 1 && is_leap(year) ? 1 : 0);
}

// Not by gmtime: on a 32-bit board a time_t ends in 2038.
std::tm calendar_fields(int64_t unix_s) {
  constexpr int64_t kDay_s = 86400;
  const int64_t second = (unix_s % kDay_s + kDay_s) % kDay_s;
  int64_t day = (unix_s - second) / kDay_s;
  int year = 1970;
  const auto length = [](int y) { return is_leap(y) ? 366 : 365; };
  while (day < 0) day += length(--year);
  while (day >= length(year)) day -= length(year++);
  int month = 0;
  while (day >= days_of_month(year, month)) day -= days_of_month(year, month++);
  std::tm utc = {};
  utc.tm_year = year - 1900;
  utc.tm_mon = month;
  utc.tm_mday = static_cast<int>(day) + 1;
  utc.tm_hour = static_cast<int>(second / 3600);
  utc.tm_min = static_cast<int>(second / 60 % 60);
  utc.tm_sec = static_cast<int>(second % 60);
  return utc;
}

std::string utc_text(int64_t unix_s, const char* format) {
  const std::tm utc = calendar_fields(unix_s);
  char text[32];
  std::strftime(text, sizeof(text), format, &utc);
  return text;
}

}  // namespace

Clock& steady_clock() {
  static SteadyClock clock;
  return clock;
}

std::string utc_now() { return utc_text(unix_now_s(), "%Y-%m-%dT%H:%M:%SZ"); }

int64_t unix_now_s() { return static_cast<int64_t>(std::time(nullptr)); }

std::string utc_date(int64_t unix_s) { return utc_text(unix_s, "%Y-%m-%d"); }

}  // namespace lathe
