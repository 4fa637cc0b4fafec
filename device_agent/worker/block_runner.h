#pragma once

#include <vector>

#include "device_agent/board/block_sensor.h"
#include "device_agent/board/energy_meter.h"
#include "device_agent/engine/engine.h"
#include "latency/measurement/block.h"
#include "latency/measurement/energy.h"

namespace lathe::device {

/// Runs and times inferences of the candidate and the reference network in this process, on the
/// calling thread. Either network may be absent (null): its times are then 0. Not thread-safe.
class BlockRunner {
 public:
  BlockRunner(Runnable* candidate, Runnable* reference, BlockSensor& sensor)
      : candidate_(candidate), reference_(reference), sensor_(sensor) {}

  /// Returns the block's median times and what disturbed it.
  latency::Block run(const latency::BlockPlan& plan);

 private:
  double segment(Runnable* network, int primers, int inferences);

  Runnable* candidate_;
  Runnable* reference_;
  BlockSensor& sensor_;
  std::vector<double> seconds_;
};

/// Runs `network` without pause for `window_s` seconds, one inference at least.
latency::EnergyWindow run_energy_window(Runnable& network, EnergyMeter& meter, double window_s);

/// Runs `network` until its times are steady (latency::WarmUp) and returns the seconds of one
/// inference.
double warm_up(Runnable& network, double limit_s);

}  // namespace lathe::device
