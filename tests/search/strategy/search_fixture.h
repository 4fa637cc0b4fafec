#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "search/strategy/controller.h"
#include "tests/support/fake_evaluators.h"
#include "tests/support/toy_space.h"

namespace lathe::test {

inline bool never() { return false; }

/// Options of a small search over the toy space with accuracy and one device's latency.
inline search::SearchOptions small_search(int64_t evaluations = 24) {
  search::SearchOptions options;
  options.problem.objectives = {search::parse_metric("accuracy"),
                                search::parse_metric("latency@pi4")};
  options.problem.constraints = {search::parse_constraint("latency@pi4 <= 40ms"),
                                 search::parse_constraint("params <= 4k")};
  options.strategy.population = 6;
  options.budget.evaluations = evaluations;
  options.accuracy_batch = 3;
  options.retry = {4, 1.0, 4.0};
  options.racing = false;  // what races is tested in racing_test.cpp
  return options;
}

/// The same with racing; the accuracy comes in parts of `FakeAccuracy::parts`.
inline search::SearchOptions raced_search(int64_t evaluations = 48) {
  search::SearchOptions options = small_search(evaluations);
  options.racing = true;
  return options;
}
inline std::vector<int64_t> ten_parts() {
  std::vector<int64_t> ends;
  for (int64_t end = 100; end <= 1000; end += 100) ends.push_back(end);
  return ends;
}

/// What a search found, as text: everything but the times.
inline std::string fingerprint(const search::SearchOutcome& outcome) {
  std::string text;
  for (const search::Evaluated& evaluated : outcome.evaluated) {
    text += std::to_string(evaluated.candidate.index) + " " +
            evaluated.candidate.architecture.to_string();
    for (const auto& [metric, value] : evaluated.metrics) {
      text += " " + to_string(metric) + "=" + std::to_string(value.value);
    }
    if (evaluated.screened) text += " screened";
    text += evaluated.ok() ? "\n" : " failed on " + evaluated.failed_on + "\n";
  }
  text += "front";
  for (const size_t index : outcome.front) text += " " + std::to_string(index);
  for (const search::GenerationRecord& record : outcome.generations) {
    text += "\n" + std::to_string(record.index) + " " + std::to_string(record.evaluations) + " " +
            std::to_string(record.hypervolume) + " " + std::to_string(record.front_size);
  }
  return text + (outcome.complete ? "\ncomplete" : "\nstopped");
}

}  // namespace lathe::test
