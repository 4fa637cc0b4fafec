#include "search/strategy/controller.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <thread>

#include "tests/search/strategy/controller_bench.h"

namespace lathe::search {
namespace {

using test::ControllerBench;
using test::FakeAccuracy;
using test::FakeLatency;
using test::fingerprint;
using test::HostActivity;
using test::never;
using test::small_search;
using test::ten_parts;
using test::ToySpace;

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
  ControllerBench bench;
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
  ControllerBench bench;
  const std::string expected = fingerprint(bench.run(options));
  ControllerBench sized;
  options.in_flight = 0;
  sized.pi4.board_count = 4;
  CHECK(fingerprint(sized.run(options)) == expected);

  ControllerBench resumed;
  resumed.pi4.board_count = 4;
  int questions = 0;
  SearchController(resumed.space, resumed.accuracy, {&resumed.pi4}, options, resumed.journal, 5,
                   resumed.clock)
      .run(no_progress(), [&] { return ++questions > 4; });
  resumed.pi4.board_count = 1;  // three of them were taken away
  CHECK(fingerprint(resumed.run(options)) == expected);

  ControllerBench alone;
  options.in_flight = 3;
  const std::string one_batch = fingerprint(alone.run(options));
  CHECK(one_batch != expected);
  ControllerBench single;
  options.in_flight = 0;
  CHECK(fingerprint(single.run(options)) == one_batch);
}

}  // namespace
}  // namespace lathe::search
