#include "latency/measurement/block.h"

#include <doctest/doctest.h>

#include "core/error.h"

namespace lathe::latency {
namespace {

BlockConditions quiet_block() {
  BlockConditions conditions;
  conditions.duration_s = 0.010;
  conditions.off_cpu_s = 0.0;
  conditions.frequency_hz = 1.8e9;
  conditions.planned_frequency_hz = 1.8e9;
  conditions.temperature_c = 60.0;
  return conditions;
}

TEST_CASE("block_fault accepts a quiet block and one of which nothing is known") {
  CHECK(block_fault(quiet_block(), {}) == BlockFault::None);
  CHECK(block_fault(BlockConditions{}, {}) == BlockFault::None);
}

TEST_CASE("block_fault names each disturbance just beyond its limit and none just below") {
  struct Case {
    const char* name;
    void (*below)(BlockConditions&);
    void (*beyond)(BlockConditions&);
    BlockFault fault;
  };
  const Case cases[] = {
      {"off cpu", [](BlockConditions& c) { c.involuntary_switches = 1, c.off_cpu_s = 0.000099; },
       [](BlockConditions& c) { c.involuntary_switches = 1, c.off_cpu_s = 0.000101; },
       BlockFault::Preempted},
      {"waiting without preemption", [](BlockConditions& c) { c.off_cpu_s = 0.005; },
       [](BlockConditions& c) { c.off_cpu_s = 0.005, c.involuntary_switches = 1; },
       BlockFault::Preempted},
      {"switches alone", [](BlockConditions& c) { c.off_cpu_s = -1.0, c.involuntary_switches = 1; },
       [](BlockConditions& c) { c.off_cpu_s = -1.0, c.involuntary_switches = 2; },
       BlockFault::Preempted},
      {"steal", [](BlockConditions& c) { c.steal_s = 0.000199; },
       [](BlockConditions& c) { c.steal_s = 0.000201; }, BlockFault::Stolen},
      {"irq", [](BlockConditions& c) { c.irq_s = 0.000199; },
       [](BlockConditions& c) { c.irq_s = 0.000201; }, BlockFault::Interrupted},
      {"frequency", [](BlockConditions& c) { c.frequency_hz = 1.77e9; },
       [](BlockConditions& c) { c.frequency_hz = 1.76e9; }, BlockFault::SlowClock},
      {"frequency without a plan",
       [](BlockConditions& c) { c.planned_frequency_hz = 0.0, c.frequency_hz = 6e8; },
       [](BlockConditions& c) { c.frequency_hz = 6e8; }, BlockFault::SlowClock},
      {"throttle bit", [](BlockConditions&) {}, [](BlockConditions& c) { c.throttle_bits = 4; },
       BlockFault::Throttled},
      {"slow reference", [](BlockConditions& c) { c.reference_slowdown = 0.149; },
       [](BlockConditions& c) { c.reference_slowdown = 0.151; }, BlockFault::SlowReference},
      {"fast reference", [](BlockConditions& c) { c.reference_slowdown = -0.5; },
       [](BlockConditions& c) { c.reference_slowdown = 0.5; }, BlockFault::SlowReference},
      {"temperature", [](BlockConditions& c) { c.temperature_c = 85.0; },
       [](BlockConditions& c) { c.temperature_c = 85.1; }, BlockFault::TooHot},
  };
  for (const Case& test : cases) {
    CAPTURE(std::string(test.name));
    BlockConditions below = quiet_block();
    test.below(below);
    CHECK(block_fault(below, {}) == BlockFault::None);
    BlockConditions beyond = quiet_block();
    test.beyond(beyond);
    CHECK(std::string(to_string(block_fault(beyond, {}))) == to_string(test.fault));
  }
}

TEST_CASE("block_fault puts throttling before its consequences") {
  BlockConditions conditions = quiet_block();
  conditions.throttle_bits = 2;
  conditions.frequency_hz = 6e8;
  conditions.temperature_c = 90.0;
  conditions.involuntary_switches = 50;
  conditions.off_cpu_s = 0.009;
  CHECK(block_fault(conditions, {}) == BlockFault::Throttled);
}

TEST_CASE("inferences_per_block fills the block's duration within its limits") {
  CHECK(inferences_per_block(0.0005, 0.002) == 4);
  CHECK(inferences_per_block(0.0007, 0.002) == 3);
  CHECK(inferences_per_block(0.5, 0.002) == 1);
  CHECK(inferences_per_block(0.5, 0.0) == 1);
  CHECK(inferences_per_block(1e-12, 1.0) == 100000);
  CHECK_THROWS_WITH_AS(inferences_per_block(0.0, 0.002),
                       "inferences_per_block: inference_s = 0.000000, expected a positive time",
                       InvariantError);
}

TEST_CASE("primer_inferences refills the caches of short networks only") {
  CHECK(primer_inferences(0.0099) == 1);
  CHECK(primer_inferences(0.0100) == 0);
}

TEST_CASE("Interleaving mirrors every couple of blocks and draws its direction from the seed") {
  Interleaving order(5);
  Interleaving same(5);
  Interleaving other(6);
  int candidate_first = 0;
  bool differs = false;
  for (int couple = 0; couple < 1000; ++couple) {
    const bool first = order.next();
    const bool second = order.next();
    CHECK(first != second);
    CHECK(first == same.next());
    CHECK(second == same.next());
    differs = differs || first != other.next();
    other.next();
    candidate_first += first ? 1 : 0;
  }
  CHECK(differs);
  CHECK(candidate_first > 420);  // 500 +- 5 standard deviations
  CHECK(candidate_first < 580);
}

}  // namespace
}  // namespace lathe::latency
