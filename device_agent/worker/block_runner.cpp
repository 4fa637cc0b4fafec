#include "device_agent/worker/block_runner.h"

#include <algorithm>
#include <ctime>

#include "core/statistics.h"
#include "latency/measurement/warm_up.h"

namespace lathe::device {

namespace {

double now_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

double BlockRunner::segment(Runnable* network, int primers, int inferences) {
  if (network == nullptr) return 0.0;
  for (int i = 0; i < primers; ++i) network->run();
  seconds_.clear();
  seconds_.reserve(static_cast<size_t>(std::max(inferences, 1)));
  for (int i = 0; i < std::max(inferences, 1); ++i) {
    const double before = now_s();
    network->run();
    seconds_.push_back(now_s() - before);
  }
  return median(seconds_);
}

latency::Block BlockRunner::run(const latency::BlockPlan& plan) {
  latency::Block block;
  const SensorReading before = sensor_.read();
  if (plan.candidate_first) {
    block.candidate_s = segment(candidate_, plan.candidate_primers, plan.candidate_inferences);
  }
  block.reference_s = segment(reference_, plan.reference_primers, plan.reference_inferences);
  if (!plan.candidate_first) {
    block.candidate_s = segment(candidate_, plan.candidate_primers, plan.candidate_inferences);
  }
  block.conditions = sensor_.between(before, sensor_.read());
  return block;
}

latency::EnergyWindow run_energy_window(Runnable& network, EnergyMeter& meter, double window_s) {
  constexpr double kSample_s = 0.01;  // sensors of power show something new about so often
  latency::EnergyWindow window;
  meter.start();
  const double start_s = now_s();
  double sampled_s = start_s;
  while (window.duration_s < window_s) {
    network.run();
    ++window.inferences;
    const double now = now_s();
    window.duration_s = now - start_s;
    if (now - sampled_s < kSample_s && window.duration_s < window_s) continue;
    meter.sample();
    sampled_s = now;
  }
  window.joules = meter.joules();
  return window;
}

double warm_up(Runnable& network, double limit_s) {
  latency::WarmUpOptions options;
  options.limit_s = limit_s;
  latency::WarmUp steady(options);
  while (!steady.done()) {
    const double before = now_s();
    network.run();
    steady.feed(now_s() - before);
  }
  return steady.inference_s();
}

}  // namespace lathe::device
