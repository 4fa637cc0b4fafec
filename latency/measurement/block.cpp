#include "latency/measurement/block.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace lathe::latency {

const char* to_string(BlockFault fault) {
  switch (fault) {
    case BlockFault::None:
      return "none";
    case BlockFault::Preempted:
      return "preempted";
    case BlockFault::Stolen:
      return "stolen";
    case BlockFault::Interrupted:
      return "interrupted";
    case BlockFault::SlowClock:
      return "slow_clock";
    case BlockFault::Throttled:
      return "throttled";
    case BlockFault::TooHot:
      return "too_hot";
    case BlockFault::SlowReference:
      return "slow_reference";
  }
  throw InvariantError("to_string: BlockFault = " + std::to_string(static_cast<int>(fault)) +
                       ", expected one of the enumerators");
}

BlockFault block_fault(const BlockConditions& conditions, const BlockLimits& limits) {
  const double duration_s = conditions.duration_s;
  if (conditions.throttle_bits != 0) return BlockFault::Throttled;
  if (conditions.temperature_c > limits.temperature_c) return BlockFault::TooHot;
  if (conditions.frequency_hz > 0.0 && conditions.planned_frequency_hz > 0.0 &&
      conditions.frequency_hz < limits.frequency_fraction * conditions.planned_frequency_hz) {
    return BlockFault::SlowClock;
  }
  if (conditions.steal_s > limits.steal_fraction * duration_s) return BlockFault::Stolen;
  if (conditions.off_cpu_s >= 0.0) {
    // Waiting for a colleague thread is off the CPU too, but voluntary.
    if (conditions.involuntary_switches > 0 &&
        conditions.off_cpu_s > limits.off_cpu_fraction * duration_s) {
      return BlockFault::Preempted;
    }
  } else if (static_cast<double>(conditions.involuntary_switches) >
             1.0 + limits.involuntary_switches_per_s * duration_s) {
    return BlockFault::Preempted;
  }
  if (conditions.irq_s > limits.irq_fraction * duration_s) return BlockFault::Interrupted;
  if (conditions.reference_slowdown > limits.reference_slowdown) return BlockFault::SlowReference;
  return BlockFault::None;
}

int inferences_per_block(double inference_s, double min_block_s) {
  if (!(inference_s > 0.0)) {
    throw InvariantError("inferences_per_block: inference_s = " + std::to_string(inference_s) +
                         ", expected a positive time");
  }
  return static_cast<int>(std::clamp(std::ceil(min_block_s / inference_s), 1.0, 100000.0));
}

int primer_inferences(double inference_s) { return inference_s < 0.010 ? 1 : 0; }

bool Interleaving::next() {
  if (second_of_couple_) {
    candidate_first_ = !candidate_first_;
  } else {
    candidate_first_ = rng_.bernoulli(0.5);
  }
  second_of_couple_ = !second_of_couple_;
  return candidate_first_;
}

}  // namespace lathe::latency
