#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/rng.h"

namespace lathe::latency {

/// What the driver runs next in the worker: one timed segment of the candidate and one of the
/// reference network, in the given order. Before each segment `*_primers` inferences run untimed,
/// so that the caches hold its network.
struct BlockPlan {
  bool candidate_first = true;
  int candidate_inferences = 1;
  int reference_inferences = 1;
  int candidate_primers = 0;
  int reference_primers = 0;
};

/// What the operating system, the board and the reference network say about the time in which a
/// block ran (both segments).
struct BlockConditions {
  double duration_s = 0.0;           ///< wall time of the block
  int64_t involuntary_switches = 0;  ///< of the measuring threads
  double off_cpu_s = -1.0;    ///< wall time minus CPU time of the measuring thread; -1: unknown
  double steal_s = 0.0;       ///< taken by the hypervisor from the core
  double irq_s = 0.0;         ///< hard and soft interrupts on the core
  double frequency_hz = 0.0;  ///< lowest seen during the block; 0: unknown
  double planned_frequency_hz = 0.0;  ///< what the core should run at; 0: unknown
  uint32_t throttle_bits = 0;  ///< active throttling (Raspberry Pi get_throttled bits 0-3); 0: none
  double temperature_c = -1.0;      ///< -1: unknown
  double reference_slowdown = 0.0;  ///< the reference's time over its calibrated one, minus 1
};

/// One measured block: of both networks the median seconds of an inference in its segment. Each
/// inference is timed by itself, so that one interruption does not spoil the segment.
struct Block {
  double candidate_s = 0.0;
  double reference_s = 0.0;
  BlockConditions conditions;
};

/// Beyond which a block does not count.
struct BlockLimits {
  double off_cpu_fraction =
      0.01;  ///< of the block's duration, with at least one involuntary switch
  double involuntary_switches_per_s =
      20;  ///< where the off-CPU time is unknown; one switch is always allowed
  double steal_fraction = 0.02;
  double irq_fraction = 0.02;
  double frequency_fraction = 0.98;  ///< of the planned frequency, at least
  double temperature_c = 85.0;
  /// Who computes on the core's other hardware thread slows the reference down by 20 to 40 %, a
  /// network by another share, and no counter tells.
  double reference_slowdown = 0.15;
};

/// Why a block does not count.
enum class BlockFault {
  None,
  Preempted,
  Stolen,
  Interrupted,
  SlowClock,
  Throttled,
  TooHot,
  SlowReference,
};
const char* to_string(BlockFault fault);  ///< "none", "preempted", ...

/// Returns the first reason, most telling first, for which a block under `conditions` does not
/// count.
BlockFault block_fault(const BlockConditions& conditions, const BlockLimits& limits);

/// Returns how many inferences of `inference_s` seconds fill `min_block_s`: at least 1, at most
/// 100000. \throws InvariantError if `inference_s` is not positive.
int inferences_per_block(double inference_s, double min_block_s);

/// Returns how many untimed inferences come before a segment: 1 for inferences under 10 ms, whose
/// caches the other network has just replaced; 0 above, where refilling them is a small part.
int primer_inferences(double inference_s);

/// The random order of candidate and reference: couples of mirrored blocks, A B B A or B A A B with
/// equal probability, so that a linear drift cancels in every couple. Not thread-safe.
class Interleaving {
 public:
  explicit Interleaving(uint64_t seed) : rng_(Rng(seed).derive("interleaving")) {}
  /// Returns whether the candidate comes first in the next block.
  bool next();

 private:
  Rng rng_;
  bool second_of_couple_ = false;
  bool candidate_first_ = true;
};

}  // namespace lathe::latency
