#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <stdexcept>

#include "tests/search/strategy/search_fixture.h"
#include "tests/support/temporary_folder.h"

// A search that is cut at any moment and started again ends as one that never was.

namespace lathe::search {
namespace {

using test::FakeAccuracy;
using test::FakeLatency;
using test::fingerprint;
using test::never;
using test::raced_search;
using test::small_search;
using test::TemporaryFolder;
using test::ten_parts;
using test::ToySpace;

struct Cut : std::runtime_error {
  Cut() : std::runtime_error("cut") {}
};

SearchOptions async_search() {
  SearchOptions options = small_search();
  options.batch = 2;
  options.in_flight = 8;
  return options;
}

SearchOptions raced_async_search() {
  SearchOptions options = raced_search(24);
  options.batch = 2;
  options.in_flight = 8;
  return options;
}

SearchOptions named(SearchOptions options, const std::string& strategy) {
  options.strategy.name = strategy;
  return options;
}

std::string uninterrupted(const SearchOptions& options) {
  const ToySpace space;
  FakeAccuracy accuracy;
  accuracy.parts = ten_parts();
  FakeLatency pi4("pi4");
  Journal journal(":memory:");
  return fingerprint(
      SearchController(space, accuracy, {&pi4}, options, journal, 5).run(no_progress(), never));
}

/// What the journal holds, as "index" and "index@device".
std::set<std::string> finished(Journal& journal) {
  std::set<std::string> names;
  for (const auto& accuracy : journal.accuracies()) names.insert(std::to_string(accuracy.index));
  for (const auto& m : journal.measurements())
    names.insert(std::to_string(m.index) + "@" + m.device);
  return names;
}

/// Runs one process's worth of the search; checks that nothing finished is done again.
SearchOutcome run_part(Journal& journal, const SearchOptions& options, int64_t cut_at_commit) {
  const std::set<std::string> before = finished(journal);
  const ToySpace space;
  FakeAccuracy accuracy;
  accuracy.parts = ten_parts();
  FakeLatency pi4("pi4");
  bool repeated = false;
  accuracy.hook = [&](const Candidate& candidate) {
    repeated = repeated || before.count(std::to_string(candidate.index)) != 0;
  };
  pi4.hook = [&](const Candidate& candidate) {
    repeated = repeated || before.count(std::to_string(candidate.index) + "@pi4") != 0;
  };
  int64_t commits = 0;
  journal.set_commit_hook([&commits, cut_at_commit](int64_t) {
    if (++commits == cut_at_commit) throw Cut();
  });
  try {
    SearchController controller(space, accuracy, {&pi4}, options, journal, 5);
    SearchOutcome outcome = controller.run(no_progress(), never);
    CHECK_FALSE(repeated);
    return outcome;
  } catch (const Cut&) {
    CHECK_FALSE(repeated);
    throw;
  }
}

void check_every_cut(const SearchOptions& options) {
  const std::string expected = uninterrupted(options);
  int64_t cuts = 0;
  for (bool cut = true; cut; ++cuts) {
    Journal journal(":memory:");
    cut = false;
    try {
      run_part(journal, options, cuts + 1);
    } catch (const Cut&) {
      cut = true;
    }
    const SearchOutcome outcome = run_part(journal, options, -1);
    REQUIRE(fingerprint(outcome) == expected);
  }
  CHECK(cuts > 10);
}

TEST_CASE("A search cut at any commit ends as an uninterrupted one") {
  SUBCASE("nsga2 by generations") { check_every_cut(small_search()); }
  SUBCASE("nsga2 with many in flight") { check_every_cut(async_search()); }
  SUBCASE("aging evolution by generations") {
    check_every_cut(named(small_search(), "aging_evolution"));
  }
  SUBCASE("aging evolution with many in flight") {
    check_every_cut(named(async_search(), "aging_evolution"));
  }
  SUBCASE("random") { check_every_cut(named(small_search(), "random")); }
  SUBCASE("racing by generations") { check_every_cut(raced_search(24)); }
  SUBCASE("racing with many in flight") { check_every_cut(raced_async_search()); }
}

TEST_CASE("A search that is cut at every single commit still ends as an uninterrupted one") {
  for (const SearchOptions& options :
       {small_search(), async_search(), named(async_search(), "aging_evolution"), raced_search(24),
        raced_async_search()}) {
    const std::string expected = uninterrupted(options);
    Journal journal(":memory:");
    bool ended = false;
    for (int part = 0; part < 2000 && !ended; ++part) {
      try {
        // The third: opening may commit the identity, closing a generation comes before asking.
        const SearchOutcome outcome = run_part(journal, options, 3);
        CHECK(fingerprint(outcome) == expected);
        ended = true;
      } catch (const Cut&) {
      }
    }
    CHECK(ended);
  }
}

/// Runs the search in a child process that kills itself with SIGKILL at its `kill_at`-th evaluator
/// call or commit. Returns whether it was killed.
bool run_child(const std::filesystem::path& path, const SearchOptions& options, int kill_at) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int events = 0;
    const auto event = [&events, kill_at] {
      if (++events == kill_at) kill(getpid(), SIGKILL);
    };
    const ToySpace space;
    FakeAccuracy accuracy;
    accuracy.parts = ten_parts();
    FakeLatency pi4("pi4");
    pi4.hook = [&](const Candidate&) { event(); };
    Journal journal(path);
    journal.set_commit_hook([&](int64_t) { event(); });
    try {
      SearchController(space, accuracy, {&pi4}, options, journal, 5).run(no_progress(), never);
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) {
    CHECK(WTERMSIG(status) == SIGKILL);
    return true;
  }
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  return false;
}

TEST_CASE("A search that every candidate failed starts afresh once the reason is mended") {
  const SearchOptions options = small_search();
  const ToySpace space;
  FakeAccuracy accuracy;
  accuracy.parts = ten_parts();
  Journal journal(":memory:");
  FakeLatency broken("pi4");
  broken.value = [](const Candidate&) {
    return Result<latency::LatencyEstimate>(Failure{FailureKind::Unsupported, "no such engine"});
  };
  CHECK_THROWS_AS(
      SearchController(space, accuracy, {&broken}, options, journal, 5).run(no_progress(), never),
      DeviceError);
  const size_t accuracies = journal.accuracies().size();
  CHECK(accuracies > 0);
  FakeLatency mended("pi4");
  const SearchOutcome outcome =
      SearchController(space, accuracy, {&mended}, options, journal, 5).run(no_progress(), never);
  CHECK(fingerprint(outcome) == uninterrupted(options));
  for (const auto& [architecture, calls] : accuracy.calls()) CHECK(calls == 1);
}

TEST_CASE("A search killed with SIGKILL again and again ends as an uninterrupted one") {
  SearchOptions options;
  SUBCASE("everything at once") { options = async_search(); }
  SUBCASE("racing") { options = raced_async_search(); }
  const std::string expected = uninterrupted(options);
  const TemporaryFolder folder;
  Rng rng(3);
  int kills = 0;
  while (kills < 200 &&
         run_child(folder / "search.sqlite", options, static_cast<int>(rng.integer(3, 12)))) {
    ++kills;
  }
  CHECK(kills >= 3);
  Journal journal(folder / "search.sqlite");
  CHECK(fingerprint(run_part(journal, options, -1)) == expected);
}

}  // namespace
}  // namespace lathe::search
