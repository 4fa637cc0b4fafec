#include "core/clock.h"

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

std::string utc_text(int64_t unix_s, const char* format) {
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm utc = {};
  gmtime_r(&time, &utc);
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
