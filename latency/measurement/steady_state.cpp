#include "latency/measurement/steady_state.h"

#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/statistics.h"

namespace lathe::latency {
namespace {

void require_positive(const char* what, double value) {
  if (value > 0.0 && std::isfinite(value)) return;
  throw InvariantError(std::string("SteadyState: ") + what + " = " + std::to_string(value) +
                       ", expected a positive number");
}

/// What one half of the span says.
struct Half {
  std::vector<double> times_s;
  std::vector<double> temperatures_c;
};

}  // namespace

SteadyState::SteadyState(const SteadyStateOptions& options) : options_(options) {
  require_positive("span_s", options.span_s);
  require_positive("tolerance", options.tolerance);
  require_positive("temperature_c", options.temperature_c);
}

bool SteadyState::feed(double inference_s, double temperature_c, double duration_s) {
  require_positive("inference_s", inference_s);
  require_positive("duration_s", duration_s);
  total_s_ += duration_s;
  windows_.push_back({total_s_, inference_s, temperature_c});
  while (windows_.front().end_s <= total_s_ - options_.span_s) windows_.pop_front();
  if (total_s_ < options_.span_s || windows_.size() < 4) return reached_;

  Half early, late;
  for (const Window& window : windows_) {
    Half& half = window.end_s <= total_s_ - 0.5 * options_.span_s ? early : late;
    half.times_s.push_back(window.inference_s);
    if (window.temperature_c > 0.0) half.temperatures_c.push_back(window.temperature_c);
  }
  if (early.times_s.empty() || late.times_s.empty()) return reached_;
  const double before_s = mean(early.times_s);
  bool steady = std::abs(mean(late.times_s) - before_s) <= options_.tolerance * before_s;
  if (!early.temperatures_c.empty() && !late.temperatures_c.empty()) {
    steady = steady && std::abs(mean(late.temperatures_c) - mean(early.temperatures_c)) <=
                           options_.temperature_c;
  }
  reached_ = reached_ || steady;
  return reached_;
}

}  // namespace lathe::latency
