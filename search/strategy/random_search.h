#pragma once

#include "search/strategy/strategy.h"

namespace lathe::search {

/// Draws uniformly over the distinct architectures: the control for every other strategy.
class RandomSearch : public Strategy {
 public:
  explicit RandomSearch(const StrategyContext& context) : context_(context) {}

  std::vector<CountedCandidate> ask(size_t count) override;
  void tell(const Evaluated&) override {}
  std::string save_state() const override { return "{}"; }
  void load_state(const std::string&) override {}

 private:
  StrategyContext context_;
};

}  // namespace lathe::search
