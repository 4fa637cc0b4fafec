#include "search/strategy/controller.h"

#include <doctest/doctest.h>

#include <limits>

#include "tests/search/strategy/controller_bench.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::ControllerBench;
using test::fingerprint;
using test::message_of;
using test::never;
using test::small_search;

TEST_CASE("A failed candidate is recorded as a failure and never in the front or a parent") {
  ControllerBench bench;
  const auto fails = [](const Candidate& candidate) {
    return candidate.architecture.genes[1] == 3;
  };
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (fails(candidate)) return Failure{FailureKind::Crashed, "signal 11"};
    return bench.pi4.estimate(candidate);
  };
  const SearchOutcome outcome = bench.run(small_search(60));
  int failed = 0;
  for (const Evaluated& evaluated : outcome.evaluated) {
    CHECK(evaluated.ok() == !fails(evaluated.candidate));
    if (evaluated.ok()) continue;
    ++failed;
    CHECK(evaluated.failed_on == "latency@pi4");
    CHECK(evaluated.failure->kind == FailureKind::Crashed);
    CHECK(evaluated.metrics.count(parse_metric("latency@pi4")) == 0);
    CHECK(evaluated.accuracy.has_value());
    CHECK(bench.pi4.calls.at(evaluated.candidate.architecture.to_string()) == 1);
  }
  CHECK(failed > 0);
  for (const size_t index : outcome.front) CHECK(outcome.evaluated[index].ok());
}

TEST_CASE("An unreachable device is asked again with doubling waits and the outcome is the same") {
  ControllerBench undisturbed;
  const std::string expected = fingerprint(undisturbed.run(small_search()));
  ControllerBench bench;
  int failures = 0;
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (candidate.index == 7 && failures < 3) {
      ++failures;
      return Failure{FailureKind::Unavailable, "pi4-a: connection refused"};
    }
    return bench.pi4.estimate(candidate);
  };
  CHECK(fingerprint(bench.run(small_search())) == expected);
  CHECK(failures == 3);
  CHECK(bench.clock.now_s() >= 1.0 + 2.0 + 4.0);
}

TEST_CASE("A device that stays away stops the search, which goes on when it is back") {
  ControllerBench undisturbed;
  const std::string expected = fingerprint(undisturbed.run(small_search()));
  ControllerBench bench;
  bool away = true;
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (candidate.index >= 7 && away)
      return Failure{FailureKind::Unavailable, "connection refused"};
    return bench.pi4.estimate(candidate);
  };
  const std::string message = message_of<DeviceError>([&] { bench.run(small_search()); });
  CHECK(message.find("device pi4: candidate ") == 0);
  CHECK(message.find(
            " failed 4 times, the last one: unavailable: connection refused. Nothing is lost: run "
            "the same command again when the device answers") != std::string::npos);
  const size_t measured = bench.journal.measurements().size();
  CHECK(measured >= 7);
  away = false;
  bench.pi4.calls.clear();
  CHECK(fingerprint(bench.run(small_search())) == expected);
  CHECK(bench.pi4.calls.size() == 24 - measured);
}

TEST_CASE("A deadline is tried once more and then believed") {
  ControllerBench bench;
  int tries = 0;
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (candidate.index == 3) {
      ++tries;
      return Failure{FailureKind::DeadlineExceeded, "30 s"};
    }
    return bench.pi4.estimate(candidate);
  };
  const SearchOutcome outcome = bench.run(small_search());
  CHECK(tries == 2);
  CHECK(outcome.evaluated[3].failure->kind == FailureKind::DeadlineExceeded);
}

TEST_CASE("A search that is opened again measures none of its failures again") {
  ControllerBench bench;
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    if (candidate.index % 5 == 4) return Failure{FailureKind::DeadlineExceeded, "30 s"};
    return bench.pi4.estimate(candidate);
  };
  const SearchOutcome outcome = bench.run(small_search(60));
  REQUIRE_FALSE(outcome.evaluated.at(59).ok());
  bench.pi4.calls.clear();
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    return bench.pi4.estimate(candidate);
  };
  CHECK(fingerprint(bench.run(small_search(60))) == fingerprint(outcome));
  CHECK(bench.pi4.calls.empty());
}

TEST_CASE("Refused credentials and unreal clocks stop the search at once") {
  ControllerBench bench;
  bench.pi4.value = [](const Candidate&) -> Result<latency::LatencyEstimate> {
    return Failure{FailureKind::Unauthorized, "token refused"};
  };
  CHECK(message_of<DeviceError>([&] { bench.run(small_search()); }) ==
        "device pi4: unauthorized: token refused");
  bench.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    latency::LatencyEstimate estimate = bench.pi4.estimate(candidate);
    estimate.verdict = latency::Verdict::InvalidTiming;
    return estimate;
  };
  CHECK(message_of<DeviceError>([&] {
          bench.run(small_search());
        }).find("device pi4: candidate 0: verdict = invalid timing") == 0);
}

TEST_CASE("A search in which everything fails says so") {
  ControllerBench bench;
  bench.pi4.value = [](const Candidate&) -> Result<latency::LatencyEstimate> {
    return Failure{FailureKind::Unsupported, "operator resize"};
  };
  CHECK(message_of<DeviceError>([&] { bench.run(small_search()); }) ==
        "search: all of the first 6 candidates failed, the last one on latency@pi4: unsupported: "
        "operator resize");
}

TEST_CASE("Values that no evaluator may give are refused by candidate") {
  ControllerBench bench;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  bench.accuracy.value = [&](const Candidate&) { return AccuracyEstimate{nan, 0.0, 10}; };
  CHECK(message_of<InvariantError>([&] {
          bench.run(small_search());
        }).find("accuracy of candidate 0: top1 = nan") == 0);
  ControllerBench other;
  other.pi4.value = [&](const Candidate& candidate) -> Result<latency::LatencyEstimate> {
    latency::LatencyEstimate estimate = other.pi4.estimate(candidate);
    estimate.median_ms = nan;
    return estimate;
  };
  CHECK(message_of<InvariantError>([&] {
          other.run(small_search());
        }).find("latency@pi4 of candidate 0: median = nan ms") == 0);
}

TEST_CASE("An evaluator's exception passes through and the search can go on") {
  ControllerBench undisturbed;
  const std::string expected = fingerprint(undisturbed.run(small_search()));
  ControllerBench bench;
  int calls = 0;
  bench.accuracy.hook = [&](const Candidate&) {
    if (++calls == 8) throw DataError("validation images are gone");
  };
  CHECK(message_of<DataError>([&] { bench.run(small_search()); }) == "validation images are gone");
  CHECK(fingerprint(bench.run(small_search())) == expected);
}

}  // namespace
}  // namespace lathe::search
