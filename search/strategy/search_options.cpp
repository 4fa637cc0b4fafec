#include "search/strategy/search_options.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/file.h"
#include "core/text.h"
#include "search/space/architecture.h"
#include "search/strategy/compound_scaling.h"
#include "search/strategy/strategy.h"

namespace lathe::search {
namespace {

/// Parses each text, recording a fault for those that throw.
template <typename Parse>
auto parse_all(ConfigSection& section, const std::string& key,
               const std::vector<std::string>& texts, Parse parse) {
  std::vector<decltype(parse(std::string()))> values;
  for (const std::string& text : texts) {
    try {
      values.push_back(parse(text));
    } catch (const ConfigError& e) {
      section.fault(key, std::string("entries that can be read (") + e.what() + ")");
    }
  }
  return values;
}

void read_problem(ConfigSection& section, Problem& problem) {
  problem.objectives =
      parse_all(section, "objectives", section.texts("objectives", std::nullopt), parse_metric);
  if (problem.objectives.size() > 4) section.fault("objectives", "at most 4 objectives");
  std::set<Metric> seen;
  for (const Metric& metric : problem.objectives) {
    if (!seen.insert(metric).second) {
      section.fault("objectives", "every objective once (" + to_string(metric) + " stands twice)");
    }
  }
  problem.constraints =
      parse_all(section, "constraints", section.texts("constraints", std::vector<std::string>{}),
                parse_constraint);
}

std::map<Metric, double> read_reference(ConfigSection section, const Problem& problem) {
  std::map<Metric, double> reference;
  for (const Metric& metric : problem.objectives) {
    const std::string key = to_string(metric);
    if (!section.has(key)) continue;
    try {
      reference[metric] = parse_metric_value(metric, section.text(key, std::nullopt));
      if (to_minimised(metric, reference[metric]) <= 0.0) {
        section.fault(key, "a value that a network can be better than");
      }
    } catch (const ConfigError& e) {
      section.fault(key, std::string("a value that can be read (") + e.what() + ")");
    }
  }
  section.finish();
  return reference;
}

void read_budget(ConfigSection section, SearchBudget& budget) {
  budget.evaluations = section.count("evaluations", budget.evaluations, {1, 10'000'000});
  budget.board_time_s = section.duration_s("board_time", budget.board_time_s, {0.0, 1e9});
  section.finish();
}

void read_retry(ConfigSection section, RetryOptions& retry) {
  retry.attempts = static_cast<int>(section.integer("attempts", retry.attempts, {1, 1000}));
  retry.first_wait_s = section.duration_s("first_wait", retry.first_wait_s, {0.0, 3600.0});
  retry.longest_wait_s = section.duration_s("longest_wait", retry.longest_wait_s, {0.0, 86400.0});
  section.finish();
}

void read_scaling(ConfigSection& own, ScalingOptions& scaling) {
  scaling.baseline = own.text("baseline", scaling.baseline);
  try {
    if (scaling.baseline != "smallest" && scaling.baseline != "best") {
      Architecture::parse(scaling.baseline);
    }
  } catch (const DataError&) {
    own.fault("baseline", "smallest, best or an architecture's indices such as 0-2-1-0");
  }
  try {
    scaling.budget = parse_metric(own.text("budget", to_string(scaling.budget)));
    if (scaling.budget.kind != MetricKind::Macs && scaling.budget.kind != MetricKind::Latency) {
      own.fault("budget", "macs or latency@DEVICE");
    }
  } catch (const ConfigError&) {
    own.fault("budget", "macs or latency@DEVICE");
  }
  scaling.factor = own.real("factor", scaling.factor, {1.0, 16.0, true});
  scaling.points = own.integer("points", scaling.points, {12, 20});
  scaling.grid = own.integer("grid", scaling.grid, {1, 1000});
  scaling.family = own.integer("family", scaling.family, {0, 20});
}

/// What must hold between the keys of compound_scaling and the rest of the section.
void check_scaling(ConfigSection& section, const SearchOptions& options) {
  const ScalingOptions& scaling = options.strategy.scaling;
  const std::string fault = scaling_problem_fault(scaling, options.problem);
  if (!fault.empty()) section.fault("strategy", fault);
  const int64_t first = scaling.baseline == "best" ? options.strategy.population : 1;
  const int64_t fitted = scaling.budget.kind == MetricKind::Latency ? scaling.points - 1 : 0;
  const int64_t needed = first + fitted + scaling.grid + scaling.family;
  if (options.budget.evaluations < needed) {
    section.fault("budget", "at least " + std::to_string(needed) +
                                " evaluations: compound_scaling may need so many for its baseline, "
                                "fit, grid and family");
  }
}

/// `strategy: NAME`, or a mapping of its name and the keys that are its alone.
void read_strategy(ConfigSection& section, StrategyOptions& strategy) {
  if (!section.is_mapping("strategy")) {
    strategy.name = section.choice("strategy", strategy.name, strategy_names());
    return;
  }
  ConfigSection own = section.section("strategy");
  strategy.name = own.choice("name", std::nullopt, strategy_names());
  if (strategy.name == "aging_evolution") {
    strategy.sample = own.integer("sample", strategy.sample, {0, 4096});
  }
  if (strategy.name == "compound_scaling") read_scaling(own, strategy.scaling);
  if (strategy.name == "surrogate") {
    ConfigSection tables = own.section("block_tables");
    for (const std::string& device : tables.keys()) {
      strategy.block_tables[device] = tables.text(device, std::nullopt);
    }
    tables.finish();
  }
  own.finish();
}

}  // namespace

SearchOptions read_search_options(ConfigSection section) {
  SearchOptions options;
  StrategyOptions& strategy = options.strategy;
  read_strategy(section, strategy);
  strategy.population = section.integer("population", default_population(strategy.name), {4, 4096});
  strategy.crossover_probability =
      section.real("crossover", strategy.crossover_probability, {0.0, 1.0});
  strategy.mutation_probability =
      section.real("mutation", strategy.mutation_probability, {0.0, 1.0});
  strategy.immigrants = section.real("immigrants", strategy.immigrants, {0.0, 1.0});
  strategy.pool = section.integer("pool", strategy.pool, {10, 100'000});
  strategy.seed_extremes = section.boolean("seed_extremes", strategy.seed_extremes);
  read_problem(section, options.problem);
  read_budget(section.section("budget"), options.budget);
  options.reference = read_reference(section.section("reference"), options.problem);
  options.batch = section.integer("batch", options.batch, {0, 100'000});
  options.in_flight = section.integer("in_flight", options.in_flight, {0, 100'000});
  if (options.in_flight != 0 && options.in_flight < batch_size(options)) {
    section.fault("in_flight",
                  "0 or at least a batch (" + std::to_string(batch_size(options)) + ")");
  }
  options.accuracy_batch = section.integer("accuracy_batch", options.accuracy_batch, {1, 10'000});
  options.racing = section.boolean("racing", options.racing);
  if (options.racing != races(options)) {
    section.fault("racing", "false: compound_scaling needs every value whole");
  }
  read_retry(section.section("retry"), options.retry);
  if (strategy.name == "compound_scaling") check_scaling(section, options);
  section.finish();
  return options;
}

int64_t default_population(const std::string& strategy) {
  return strategy == "aging_evolution" ? 50 : 20;
}

int64_t batch_size(const SearchOptions& options) {
  if (options.batch != 0) return options.batch;
  constexpr int64_t kSurrogateBatch = 10;
  const int64_t population = options.strategy.population;
  return options.strategy.name == "surrogate" ? std::min(kSurrogateBatch, population) : population;
}

bool races(const SearchOptions& options) {
  return options.racing && options.strategy.name != "compound_scaling";
}

std::map<std::string, std::string> identity_of(const SearchOptions& options) {
  std::map<std::string, std::string> identity;
  const auto text_of = [](const auto& item) { return to_string(item); };
  identity["/search/objectives"] = "[" + join(options.problem.objectives, ", ", text_of) + "]";
  identity["/search/constraints"] = "[" + join(options.problem.constraints, ", ", text_of) + "]";
  for (const auto& [metric, value] : options.reference) {
    identity["/search/reference/" + to_string(metric)] = exact_text(value);
  }
  const StrategyOptions& strategy = options.strategy;
  identity["/search/strategy"] = strategy.name;
  if (strategy.name == "aging_evolution") {
    identity["/search/strategy/sample"] = std::to_string(strategy.sample);
  }
  if (strategy.name == "compound_scaling") {
    const ScalingOptions& scaling = strategy.scaling;
    identity["/search/strategy/baseline"] = scaling.baseline;
    identity["/search/strategy/budget"] = to_string(scaling.budget);
    identity["/search/strategy/factor"] = exact_text(scaling.factor);
    identity["/search/strategy/points"] = std::to_string(scaling.points);
    identity["/search/strategy/grid"] = std::to_string(scaling.grid);
    identity["/search/strategy/family"] = std::to_string(scaling.family);
  }
  for (const auto& [device, costs] : strategy.block_costs) {
    std::string text;
    for (const auto& [key, cost] : costs)
      text += std::to_string(key) + " " + exact_text(cost) + "\n";
    identity["/search/strategy/block_tables/" + device] =
        "sha256 " + sha256_hex(text).substr(0, 16);
  }
  identity["/search/population"] = std::to_string(strategy.population);
  identity["/search/crossover"] = exact_text(strategy.crossover_probability);
  identity["/search/mutation"] = exact_text(strategy.mutation_probability);
  identity["/search/immigrants"] = exact_text(strategy.immigrants);
  identity["/search/pool"] = std::to_string(strategy.pool);
  identity["/search/seed_extremes"] = strategy.seed_extremes ? "true" : "false";
  identity["/search/batch"] = std::to_string(options.batch);
  identity["/search/in_flight"] = std::to_string(options.in_flight);
  identity["/search/racing"] = options.racing ? "true" : "false";
  return identity;
}

}  // namespace lathe::search
