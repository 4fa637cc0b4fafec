#pragma once

#include "search/strategy/controller.h"
#include "tests/search/strategy/search_fixture.h"

namespace lathe::test {

/// Runs a search on fakes with a journal in memory.
struct ControllerBench {
  ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4{"pi4"};
  search::Journal journal{":memory:"};
  ManualClock clock;

  search::SearchOutcome run(const search::SearchOptions& options, uint64_t seed = 5) {
    search::SearchController controller(space, accuracy, {&pi4}, options, journal, seed, clock);
    return controller.run(no_progress(), never);
  }
};

}  // namespace lathe::test
