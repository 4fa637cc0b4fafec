#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "search/strategy/strategy.h"
#include "tests/support/toy_space.h"

namespace lathe::test {

/// A strategy over the toy space with accuracy against latency made up from the genes.
struct StrategyBench {
  ToySpace space;
  search::Problem problem;
  std::vector<search::Evaluated> history;
  std::unique_ptr<search::Proposer> proposer;
  search::StrategyOptions options;
  std::unique_ptr<search::Strategy> strategy;

  explicit StrategyBench(const std::string& name) {
    options.name = name;
    problem.objectives = {search::parse_metric("accuracy"), search::parse_metric("macs")};
    options.population = 8;
    make();
  }
  void make() {
    proposer = std::make_unique<search::Proposer>(space, problem);
    strategy = search::make_strategy(options, {space, problem, history, *proposer, Rng(9)});
  }
  search::Evaluated evaluated(const search::CountedCandidate& counted, bool ok) const {
    search::Evaluated result;
    result.candidate = counted.candidate;
    result.metrics = counted.counted;
    const double macs = counted.counted.at(search::parse_metric("macs")).value;
    const double top1 = macs / (macs + 1e4);
    result.metrics[search::parse_metric("accuracy")] = {top1, top1, top1};
    if (!ok) {
      result.failure = Failure{FailureKind::Crashed, "x"};
      result.metrics.erase(search::parse_metric("accuracy"));
    }
    return result;
  }
  std::vector<std::string> generation(const std::function<bool(const search::Candidate&)>& ok) {
    std::vector<std::string> names;
    const auto asked = strategy->ask(8);
    for (const search::CountedCandidate& counted : asked) {
      names.push_back(counted.candidate.architecture.to_string());
    }
    for (const search::CountedCandidate& counted : asked) {
      history.push_back(evaluated(counted, ok(counted.candidate)));
      strategy->tell(history.back());
    }
    return names;
  }
};

}  // namespace lathe::test
