#include "search/strategy/controller.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <limits>
#include <set>
#include <thread>

#include "search/archive/dominance.h"
#include "tests/search/strategy/search_fixture.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::fingerprint;
using test::HostActivity;
using test::message_of;
using test::never;
using test::small_search;
using test::ten_parts;
using test::ToySpace;

/// Runs a search on fakes with a journal in memory.
struct Bench {
  ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4{"pi4"};
  Journal journal{":memory:"};
  ManualClock clock;

  SearchOutcome run(const SearchOptions& options, uint64_t seed = 5) {
    SearchController controller(space, accuracy, {&pi4}, options, journal, seed, clock);
    return controller.run(no_progress(), never);
  }
};

TEST_CASE(
    "SearchController uses its budget on distinct candidates and returns their feasible front") {
  Bench bench;
  const SearchOptions options = small_search(60);
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.complete);
  REQUIRE(outcome.evaluated.size() == 60);
  std::set<Architecture> distinct;
  std::vector<Objectives> feasible;
  std::vector<size_t> indices;
  for (size_t i = 0; i < outcome.evaluated.size(); ++i) {
    const Evaluated& evaluated = outcome.evaluated[i];
    CHECK(evaluated.candidate.index == static_cast<int64_t>(i));
    CHECK(evaluated.candidate.network == nullptr);
    distinct.insert(evaluated.candidate.architecture);
    CHECK(evaluated.metrics.at(parse_metric("params")).value <= 4000);
    if (options.problem.violation(evaluated.metrics) > 0.0) continue;
    feasible.push_back(options.problem.minimised(evaluated.metrics));
    indices.push_back(i);
  }
  CHECK(distinct.size() == 60);
  std::vector<size_t> front;
  for (const size_t i : non_dominated(feasible)) front.push_back(indices[i]);
  CHECK(outcome.front == front);
  CHECK(front.size() > 3);
  CHECK(outcome.board_time_s == doctest::Approx(30.0));
  REQUIRE(outcome.generations.size() == 10);
  for (size_t g = 1; g < outcome.generations.size(); ++g) {
    CHECK(outcome.generations[g].index == static_cast<int64_t>(g));
    CHECK(outcome.generations[g].evaluations == 6 * static_cast<int64_t>(g + 1));
    CHECK(outcome.generations[g].hypervolume >= outcome.generations[g - 1].hypervolume);
  }
  for (const auto& [architecture, calls] : bench.accuracy.calls()) CHECK(calls == 1);
  for (const auto& [architecture, calls] : bench.pi4.calls) CHECK(calls == 1);
}

TEST_CASE("SearchController gives the same outcome for a seed and another for another seed") {
  Bench a;
  Bench b;
  Bench c;
  const std::string first = fingerprint(a.run(small_search(), 5));
  CHECK(first == fingerprint(b.run(small_search(), 5)));
  CHECK(first != fingerprint(c.run(small_search(), 6)));
}

TEST_CASE("SearchController keeps the hypervolume's reference point of the first generation") {
  Bench bench;
  const SearchOutcome outcome = bench.run(small_search(36));
  Objectives worst = {0.0, 0.0};
  for (size_t i = 0; i < 6; ++i) {
    const Evaluated& evaluated = outcome.evaluated[i];
    worst[0] = std::max(worst[0], 1.0 - evaluated.accuracy->top1);
    worst[1] = std::max(worst[1], evaluated.latencies.at("pi4").median_ms);
  }
  REQUIRE(outcome.reference.size() == 2);
  CHECK(outcome.reference[0] == doctest::Approx(std::min(1.0, 1.1 * worst[0])));
  CHECK(outcome.reference[1] == doctest::Approx(1.1 * worst[1]));

  Bench given;
  SearchOptions options = small_search(12);
  options.reference = {{parse_metric("latency@pi4"), 75.0}, {parse_metric("accuracy"), 0.4}};
  CHECK(given.run(options).reference == Objectives{0.6, 75.0});
}

TEST_CASE("SearchController stops when it is told and goes on later as if it had not") {
  Bench uninterrupted;
  const std::string expected = fingerprint(uninterrupted.run(small_search()));
  Bench bench;
  for (int part = 0; part < 100; ++part) {
    SearchController controller(bench.space, bench.accuracy, {&bench.pi4}, small_search(),
                                bench.journal, 5, bench.clock);
    int questions = 0;
    const SearchOutcome outcome = controller.run(no_progress(), [&] { return ++questions > 3; });
    if (!outcome.complete) continue;
    CHECK(part >= 2);
    CHECK(fingerprint(outcome) == expected);
    for (const auto& [architecture, calls] : bench.accuracy.calls()) CHECK(calls == 1);
    for (const auto& [architecture, calls] : bench.pi4.calls) CHECK(calls == 1);
    return;
  }
  FAIL("the search never ended");
}

TEST_CASE("A finished search can be extended and then equals a longer one") {
  Bench longer;
  const std::string expected = fingerprint(longer.run(small_search(48)));
  Bench bench;
  CHECK(bench.run(small_search(24)).evaluated.size() == 24);
  CHECK(fingerprint(bench.run(small_search(48))) == expected);
}

TEST_CASE("SearchController ends at the board time, with what is in flight finished") {
  Bench bench;
  SearchOptions options = small_search(1000);
  options.budget.board_time_s = 7.0;  // 0.5 s each: 14, rounded up to generations of 6
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.complete);
  CHECK(outcome.evaluated.size() == 18);
}

TEST_CASE("A space that is exhausted ends the search cleanly and stays so") {
  Bench bench;
  SearchOptions options = small_search(1000);
  options.problem.constraints = {parse_constraint("params <= 150")};
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.complete);
  CHECK(outcome.exhausted);
  // Every architecture that fits was found: counted here one by one.
  std::set<std::string> fitting;
  Rng rng(1);
  for (int i = 0; i < 200000; ++i) {
    const Architecture architecture = bench.space.canonical(bench.space.sample_genes(rng));
    const Metrics counted = counted_metrics(bench.space.lower(architecture));
    if (counted.at(parse_metric("params")).value <= 150) fitting.insert(architecture.to_string());
    if (i > 20000 && fitting.size() == outcome.evaluated.size()) break;
  }
  CHECK(outcome.evaluated.size() == fitting.size());
  CHECK(fingerprint(bench.run(options)) == fingerprint(outcome));
}

TEST_CASE("A failed candidate is recorded as a failure and never in the front or a parent") {
  Bench bench;
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
  Bench undisturbed;
  const std::string expected = fingerprint(undisturbed.run(small_search()));
  Bench bench;
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
  Bench undisturbed;
  const std::string expected = fingerprint(undisturbed.run(small_search()));
  Bench bench;
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
  Bench bench;
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

TEST_CASE("Refused credentials and unreal clocks stop the search at once") {
  Bench bench;
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
  Bench bench;
  bench.pi4.value = [](const Candidate&) -> Result<latency::LatencyEstimate> {
    return Failure{FailureKind::Unsupported, "operator resize"};
  };
  CHECK(message_of<DeviceError>([&] { bench.run(small_search()); }) ==
        "search: all of the first 6 candidates failed, the last one on latency@pi4: unsupported: "
        "operator resize");
}

TEST_CASE("Values that no evaluator may give are refused by candidate") {
  Bench bench;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  bench.accuracy.value = [&](const Candidate&) { return AccuracyEstimate{nan, 0.0, 10}; };
  CHECK(message_of<InvariantError>([&] {
          bench.run(small_search());
        }).find("accuracy of candidate 0: top1 = nan") == 0);
  Bench other;
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
  Bench undisturbed;
  const std::string expected = fingerprint(undisturbed.run(small_search()));
  Bench bench;
  int calls = 0;
  bench.accuracy.hook = [&](const Candidate&) {
    if (++calls == 8) throw DataError("validation images are gone");
  };
  CHECK(message_of<DataError>([&] { bench.run(small_search()); }) == "validation images are gone");
  CHECK(fingerprint(bench.run(small_search())) == expected);
}

TEST_CASE(
    "Accuracy and a device on this machine never run at once, and neither do two measurements") {
  HostActivity activity;
  const ToySpace space;
  FakeAccuracy accuracy(&activity);
  FakeLatency local("pi4", true, &activity);
  FakeLatency other("local2", true, &activity);
  Journal journal(":memory:");
  SearchOptions options = small_search(36);
  options.problem.objectives.push_back(parse_metric("latency@local2"));
  SUBCASE("by generations") {}
  SUBCASE("with two generations in flight") {
    options.batch = 3;
    options.in_flight = 12;
  }
  SearchController controller(space, accuracy, {&local, &other}, options, journal, 5);
  CHECK(controller.run(no_progress(), never).evaluated.size() == 36);
  CHECK(activity.overlaps == 0);
  CHECK(activity.double_measured == 0);
}

TEST_CASE("A device of its own measures while accuracy is computed") {
  const ToySpace space;
  FakeAccuracy accuracy;
  FakeLatency pi4("pi4");
  std::promise<void> measuring;
  std::shared_future<void> measured = measuring.get_future().share();
  bool told = false;
  bool beside = true;
  pi4.hook = [&](const Candidate&) {
    if (!told) measuring.set_value();
    told = true;
  };
  accuracy.hook = [&](const Candidate&) {
    beside = beside && measured.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  };
  Journal journal(":memory:");
  SearchController controller(space, accuracy, {&pi4}, small_search(), journal, 5);
  controller.run(no_progress(), never);
  CHECK(beside);
}

/// Answers its measurements in an order of its own, from another thread.
class ShufflingLatency : public LatencyEvaluator {
 public:
  explicit ShufflingLatency(uint64_t seed)
      : inner_("pi4"), rng_(seed), thread_([this] { work(); }) {}
  ~ShufflingLatency() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  const std::string& device() const override { return inner_.device(); }
  const latency::MeasurementPlan& default_plan() const override { return inner_.default_plan(); }
  bool shares_host() const override { return false; }
  std::future<Result<latency::LatencyEstimate>> measure(
      const Candidate& candidate, const latency::MeasurementPlan& plan) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back({candidate, plan, std::promise<Result<latency::LatencyEstimate>>()});
    wake_.notify_all();
    return waiting_.back().promise.get_future();
  }

 private:
  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return done_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const auto chosen = static_cast<std::ptrdiff_t>(rng_.below(waiting_.size()));
      auto job = std::move(waiting_[static_cast<size_t>(chosen)]);
      waiting_.erase(waiting_.begin() + chosen);
      job.promise.set_value(inner_.by_plan(inner_.estimate(job.candidate), job.plan));
    }
  }
  FakeLatency inner_;
  Rng rng_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  struct Job {
    Candidate candidate;
    latency::MeasurementPlan plan;
    std::promise<Result<latency::LatencyEstimate>> promise;
  };
  std::vector<Job> waiting_;
  std::thread thread_;
};

TEST_CASE("The outcome does not depend on the order in which measurements end") {
  SearchOptions options = small_search(60);
  options.batch = 2;
  options.in_flight = 12;
  SUBCASE("everything at once") {}
  SUBCASE("racing") { options.racing = true; }
  Bench bench;
  bench.accuracy.parts = ten_parts();
  const std::string expected = fingerprint(bench.run(options));
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const ToySpace space;
    FakeAccuracy accuracy;
    accuracy.parts = ten_parts();
    ShufflingLatency pi4(seed);
    Journal journal(":memory:");
    SearchController controller(space, accuracy, {&pi4}, options, journal, 5);
    CHECK(fingerprint(controller.run(no_progress(), never)) == expected);
  }
}

TEST_CASE("Several boards have more candidates in flight, as many at every resume") {
  SearchOptions options = small_search(60);
  options.batch = 3;
  options.in_flight = 3 + 2 * 4;
  Bench bench;
  const std::string expected = fingerprint(bench.run(options));
  Bench sized;
  options.in_flight = 0;
  sized.pi4.board_count = 4;
  CHECK(fingerprint(sized.run(options)) == expected);

  Bench resumed;
  resumed.pi4.board_count = 4;
  int questions = 0;
  SearchController(resumed.space, resumed.accuracy, {&resumed.pi4}, options, resumed.journal, 5,
                   resumed.clock)
      .run(no_progress(), [&] { return ++questions > 4; });
  resumed.pi4.board_count = 1;  // three of them were taken away
  CHECK(fingerprint(resumed.run(options)) == expected);

  Bench alone;
  options.in_flight = 3;
  const std::string one_batch = fingerprint(alone.run(options));
  CHECK(one_batch != expected);
  Bench single;
  options.in_flight = 0;
  CHECK(fingerprint(single.run(options)) == one_batch);
}

TEST_CASE("SearchController refuses what cannot be searched, before anything is evaluated") {
  Bench bench;
  SearchOptions options = small_search();
  options.problem.objectives = {};
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        "/search/objectives: empty, expected at least one objective");
  options = small_search();
  options.problem.objectives[1] = parse_metric("latency@pi5");
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        "/search: latency@pi5, expected a device of the list devices");
  options = small_search();
  options.problem.constraints.push_back(parse_constraint("params <= 10"));
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        "params <= 10: the smallest network of toy has 54; raise the bound or give the space "
        "smaller choices");
  options = small_search();
  options.strategy.name = "magic";
  CHECK(message_of<ConfigError>([&] {
          bench.run(options);
        }).find("search strategy = magic, expected one of nsga2, ") == 0);
  CHECK(bench.accuracy.calls().empty());
  CHECK(bench.pi4.calls.empty());
}

TEST_CASE("SearchController does not go on with another search's journal") {
  Bench bench;
  bench.run(small_search());
  SearchOptions options = small_search();
  options.strategy.population = 8;
  CHECK(message_of<ConfigError>([&] { bench.run(options); }) ==
        ":memory:: /search/population = 8, expected 6 as when this search was started");
  CHECK(message_of<ConfigError>([&] { bench.run(small_search(), 6); }) ==
        ":memory:: seed = 6, expected 5 as when this search was started");
}

TEST_CASE("SearchController without accuracy never asks for it") {
  Bench bench;
  SearchOptions options = small_search();
  options.problem.objectives = {parse_metric("params"), parse_metric("latency@pi4")};
  const SearchOutcome outcome = bench.run(options);
  CHECK(outcome.evaluated.size() == 24);
  CHECK(bench.accuracy.calls().empty());
}

}  // namespace
}  // namespace lathe::search
