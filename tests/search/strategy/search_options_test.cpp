#include "search/strategy/search_options.h"

#include <doctest/doctest.h>

#include "tests/support/message_of.h"

namespace lathe::search {
namespace {

using test::message_of;

SearchOptions read(const std::string& yaml) {
  const ConfigDocument document = ConfigDocument::read_text("search:\n" + yaml, "a.yaml");
  ConfigSection root = document.root();
  const SearchOptions options = read_search_options(root.section("search"));
  root.finish();
  document.throw_if_faults();
  return options;
}

std::string faults(const std::string& yaml) {
  return message_of<ConfigError>([&] { read(yaml); });
}

TEST_CASE("read_search_options reads every key") {
  const SearchOptions options = read(R"(  strategy: random
  objectives: [accuracy, latency@pi4, macs]
  constraints: ["latency@pi4 <= 20ms", "params <= 2M"]
  population: 24
  crossover: 0.8
  mutation: 0.2
  immigrants: 0.25
  seed_extremes: false
  budget: {evaluations: 2k, board_time: 30min}
  reference: {latency@pi4: 75ms, accuracy: 50%}
  batch: 5
  in_flight: 40
  accuracy_batch: 7
  racing: false
  retry: {attempts: 3, first_wait: 500ms, longest_wait: 1min}
)");
  CHECK(options.strategy.name == "random");
  REQUIRE(options.problem.objectives.size() == 3);
  CHECK(to_string(options.problem.objectives[1]) == "latency@pi4");
  REQUIRE(options.problem.constraints.size() == 2);
  CHECK(options.problem.constraints[0].bound == doctest::Approx(20.0));
  CHECK(options.strategy.population == 24);
  CHECK(options.strategy.crossover_probability == 0.8);
  CHECK(options.strategy.mutation_probability == 0.2);
  CHECK(options.strategy.immigrants == 0.25);
  CHECK_FALSE(options.strategy.seed_extremes);
  CHECK(options.budget.evaluations == 2000);
  CHECK(options.budget.board_time_s == 1800.0);
  CHECK(options.reference.at(parse_metric("latency@pi4")) == doctest::Approx(75.0));
  CHECK(options.reference.at(parse_metric("accuracy")) == 0.5);
  CHECK(options.batch == 5);
  CHECK(options.in_flight == 40);
  CHECK(options.accuracy_batch == 7);
  CHECK_FALSE(options.racing);
  CHECK(options.retry.attempts == 3);
  CHECK(options.retry.first_wait_s == 0.5);
  CHECK(options.retry.longest_wait_s == 60.0);
}

TEST_CASE("read_search_options has defaults for all but the objectives") {
  const SearchOptions options = read("  objectives: [accuracy, macs]\n");
  CHECK(options.strategy.name == "nsga2");
  CHECK(options.strategy.population == 20);
  CHECK(options.budget.evaluations == 400);
  CHECK(options.budget.board_time_s == 0.0);
  CHECK(batch_size(options) == 20);
}

TEST_CASE("read_search_options reports every fault with its line") {
  CHECK(faults("  objectives: [flops, macs, macs]\n") ==
        "a.yaml:2: /search/objectives = [flops, macs, macs], expected entries that can be read "
        "(metric = flops, "
        "expected one of accuracy, macs, params, peak_memory, model_size, latency@DEVICE, "
        "energy@DEVICE)\n"
        "a.yaml:2: /search/objectives = [flops, macs, macs], expected every objective once (macs "
        "stands twice)");
  const std::string many = faults(R"(  strategy: nsga3
  objectives: [accuracy, energy]
  constraints: ["latency@pi4 < 20ms"]
  population: 3
  budget: {evaluations: 0, board_time: 20}
  reference: {accuracy: 5}
  in_flight: 10
  populaton: 20
)");
  for (const char* part :
       {"a.yaml:2: /search/strategy = nsga3, expected", "a.yaml:3: /search/objectives",
        "a.yaml:4: /search/constraints", "expected METRIC <= VALUE or METRIC >= VALUE",
        "a.yaml:5: /search/population = 3, expected",
        "a.yaml:6: /search/budget/evaluations = 0, expected",
        "a.yaml:6: /search/budget/board_time = 20, expected",
        "a.yaml:7: /search/reference/accuracy = 5, expected",
        "a.yaml:8: /search/in_flight = 10, expected 0 or at least a batch (20)",
        "a.yaml:9: /search/populaton"}) {
    const bool found = many.find(part) != std::string::npos;
    CHECK_MESSAGE(found, std::string(part) << " is not in\n" << many);
  }
}

TEST_CASE("A strategy may be a mapping with the keys that are its alone") {
  const std::string objectives = "  objectives: [accuracy, macs]\n";
  const SearchOptions options =
      read(objectives + "  strategy: {name: aging_evolution, sample: 7}\n");
  CHECK(options.strategy.name == "aging_evolution");
  CHECK(options.strategy.sample == 7);
  CHECK(options.strategy.population == 50);
  CHECK(read(objectives + "  strategy: {name: nsga2}\n").strategy.name == "nsga2");
  const struct {
    const char* strategy;
    const char* fault;
  } table[] = {
      {"{name: nsga2, sample: 7}",
       "a.yaml:3: /search/strategy/sample = 7, expected one of the keys name"},
      {"{sample: 7}", "a.yaml:3: /search/strategy/name is missing, expected one of "},
      {"{name: aging_evolution, sample: -1}",
       "a.yaml:3: /search/strategy/sample = -1, expected an integer in [0, 4096]"},
      {"{name: aging}", "a.yaml:3: /search/strategy/name = aging, expected one of "},
      {"[nsga2]", "a.yaml:3: /search/strategy = [nsga2], expected one of "},
  };
  for (const auto& row : table) {
    const std::string message =
        faults(objectives + "  strategy: " + std::string(row.strategy) + "\n");
    const bool found = message.rfind(row.fault, 0) == 0;
    CHECK_MESSAGE(found, message);
  }
}

TEST_CASE("compound_scaling's keys are read and held against the rest of the search") {
  const std::string objectives = "  objectives: [accuracy, latency@pi4]\n";
  const ScalingOptions options = read(objectives +
                                      "  strategy: {name: compound_scaling, baseline: 0-2-1, "
                                      "budget: latency@pi4, factor: 1.5,\n"
                                      "             points: 12, grid: 9, family: 5}\n")
                                     .strategy.scaling;
  CHECK(options.baseline == "0-2-1");
  CHECK(to_string(options.budget) == "latency@pi4");
  CHECK(options.factor == 1.5);
  CHECK(options.points == 12);
  CHECK(options.grid == 9);
  CHECK(options.family == 5);
  const ScalingOptions defaults =
      read(objectives + "  strategy: compound_scaling\n").strategy.scaling;
  CHECK(defaults.baseline == "smallest");
  CHECK(to_string(defaults.budget) == "macs");

  const std::string start = "  strategy: {name: compound_scaling, ";
  const struct {
    const char* keys;
    const char* fault;
  } table[] = {
      {"baseline: large}",
       "a.yaml:3: /search/strategy/baseline = large, expected smallest, best or an architecture's "
       "indices such as 0-2-1-0"},
      {"budget: params}",
       "a.yaml:3: /search/strategy/budget = params, expected macs or latency@DEVICE"},
      {"budget: latency}",
       "a.yaml:3: /search/strategy/budget = latency, expected macs or latency@DEVICE"},
      {"budget: latency@pi5}",
       "expected latency@pi5 among the objectives or constraints: it is compound_scaling's budget"},
      {"factor: 1}", "a.yaml:3: /search/strategy/factor = 1, expected a number in (1, 16]"},
      {"points: 8}", "a.yaml:3: /search/strategy/points = 8, expected an integer in [12, 20]"},
      {"grid: 0}", "a.yaml:3: /search/strategy/grid = 0, expected an integer in [1, 1000]"},
      {"family: -1}", "a.yaml:3: /search/strategy/family = -1, expected an integer in [0, 20]"},
      {"sample: 3}", "a.yaml:3: /search/strategy/sample = 3, expected one of the keys "},
      {"baseline: best}\n  budget: {evaluations: 42}",
       "a.yaml:4: /search/budget = {evaluations: ...}, expected at least 43 evaluations: "
       "compound_scaling may need so many for its baseline, fit, grid and family"},
      {"budget: latency@pi4}\n  budget: {evaluations: 38}", "expected at least 39 evaluations"},
  };
  for (const auto& row : table) {
    const std::string message = faults(objectives + start + row.keys + "\n");
    const bool found = message.find(row.fault) != std::string::npos;
    CHECK_MESSAGE(found, message);
  }
  CHECK(faults("  objectives: [macs, params]\n  strategy: compound_scaling\n") ==
        "a.yaml:3: /search/strategy = compound_scaling, expected accuracy among the objectives: "
        "compound_scaling chooses by it");
}

TEST_CASE("identity_of changes with everything but the budget and the way of evaluating") {
  SearchOptions options = read("  objectives: [accuracy, macs]\n");
  const auto before = identity_of(options);
  options.budget.evaluations = 9999;
  options.retry.attempts = 1;
  options.accuracy_batch = 3;
  CHECK(identity_of(options) == before);
  options.strategy.scaling.factor = 3.0;
  options.strategy.sample = 4;
  CHECK(identity_of(options) == before);  // another strategy's
  options.strategy.immigrants = 0.2;
  CHECK(identity_of(options) != before);
  options.strategy.name = "compound_scaling";
  const auto scaling = identity_of(options);
  options.strategy.scaling.factor = 4.0;
  CHECK(identity_of(options) != scaling);
}

}  // namespace
}  // namespace lathe::search
