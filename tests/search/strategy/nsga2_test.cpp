#include "search/strategy/nsga2.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/search/strategy/strategy_bench.h"
#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::StrategyBench;

TEST_CASE("Evolution begins with the extremes and never proposes twice") {
  std::string name;
  SUBCASE("nsga2") { name = "nsga2"; }
  SUBCASE("aging_evolution") { name = "aging_evolution"; }
  StrategyBench bench(name);
  std::set<std::string> seen;
  for (int g = 0; g < 30; ++g) {
    const auto names = bench.generation([](const Candidate&) { return true; });
    CHECK(names.size() == 8);
    if (g == 0) {
      CHECK(names[0] == bench.space.smallest().to_string());
      CHECK(names[1] == bench.space.largest().to_string());
    }
    seen.insert(names.begin(), names.end());
  }
  CHECK(seen.size() == 240);
}

TEST_CASE("Nsga2 never keeps a failed candidate as a parent") {
  StrategyBench bench("nsga2");
  for (int g = 0; g < 5; ++g) {
    bench.generation([](const Candidate& candidate) { return candidate.index % 3 != 0; });
  }
  const std::string state = bench.strategy->save_state();
  bench.generation([](const Candidate&) { return false; });
  // Nothing that failed was taken in: the population and what was told are as before, save that
  // they were merged.
  StrategyBench other("nsga2");
  other.history = bench.history;
  other.strategy->load_state(bench.strategy->save_state());
  CHECK(other.strategy->save_state() == bench.strategy->save_state());
  CHECK(state != bench.strategy->save_state());
  for (size_t i = 0; i < bench.history.size(); i += 3) {
    CHECK(message_of<DataError>([&] {
            other.strategy->load_state("{\"population\":[" + std::to_string(i) + "],\"told\":[]}");
          }) == "nsga2 state: member " + std::to_string(i) + ", expected a candidate with values");
  }
}

TEST_CASE("Nsga2 goes on from a saved state exactly as it would have") {
  StrategyBench bench("nsga2");
  const auto all = [](const Candidate&) { return true; };
  for (int g = 0; g < 3; ++g) bench.generation(all);
  StrategyBench other("nsga2");
  other.history = bench.history;
  for (const Evaluated& evaluated : other.history) {
    other.proposer->restore(evaluated.candidate.index, evaluated.candidate.architecture,
                            evaluated.candidate.computation);
  }
  other.strategy->load_state(bench.strategy->save_state());
  for (int g = 0; g < 3; ++g) CHECK(other.generation(all) == bench.generation(all));
}

TEST_CASE("Nsga2 refuses a state that is not its own") {
  StrategyBench bench("nsga2");
  CHECK(message_of<DataError>([&] { bench.strategy->load_state("{]"); }).find("nsga2 state: ") ==
        0);
  CHECK(message_of<DataError>([&] {
          bench.strategy->load_state("{\"population\":[]}");
        }).find("nsga2 state: ") == 0);
  CHECK(message_of<DataError>([&] {
          bench.strategy->load_state("{\"population\":[4],\"told\":[]}");
        }) == "nsga2 state: member 4, expected a candidate with values");
}

TEST_CASE("Nsga2 with immigrants alone draws uniformly") {
  StrategyBench bench("nsga2");
  bench.options.immigrants = 1.0;
  bench.make();
  const auto all = [](const Candidate&) { return true; };
  std::set<std::string> names;
  for (int g = 0; g < 20; ++g) {
    for (const std::string& name : bench.generation(all)) names.insert(name);
  }
  // 4096 of the 4680 architectures have the full depth.
  int deep = 0;
  for (const std::string& name : names) deep += name[0] == '3' ? 1 : 0;
  CHECK(deep > 110);
}

}  // namespace
}  // namespace lathe::search
