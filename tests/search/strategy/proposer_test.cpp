#include "search/strategy/proposer.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/message_of.h"
#include "tests/support/toy_space.h"

namespace lathe::search {
namespace {

using test::message_of;
using test::ToySpace;

/// A toy space with a gene more that changes nothing: equal networks with different genes.
class EchoSpace : public ToySpace {
 public:
  EchoSpace() : genes_(ToySpace::genes()) { genes_.push_back({"echo", {"a", "b"}}); }
  const std::vector<Gene>& genes() const override { return genes_; }
  std::vector<bool> active(const Architecture& architecture) const override {
    std::vector<bool> result = ToySpace::active(inner(architecture));
    result.push_back(true);
    return result;
  }
  network::Network lower(const Architecture& architecture) const override {
    const ToySpace plain;
    return plain.lower(inner(architecture));
  }

 private:
  static Architecture inner(Architecture architecture) {
    architecture.genes.resize(9);
    return architecture;
  }
  std::vector<Gene> genes_;
};

TEST_CASE("Proposer proposes each network once, however it is spelt") {
  const EchoSpace space;
  const Problem problem;
  Proposer proposer(space, problem);
  Rng rng(1);
  const Architecture a{{0, 1, 1, 0, 0, 0, 0, 0, 0, 0}};
  const Architecture same_genes{{0, 1, 1, 3, 1, 3, 1, 3, 1, 0}};
  const Architecture same_network{{0, 1, 1, 0, 0, 0, 0, 0, 0, 1}};
  const Architecture other{{0, 2, 1, 0, 0, 0, 0, 0, 0, 1}};
  const auto propose = [&](const Architecture& architecture) {
    return proposer.propose([&](Rng&) { return architecture; }, rng, 3);
  };
  CHECK(propose(a)->candidate.index == 0);
  CHECK_FALSE(propose(same_genes).has_value());
  CHECK_FALSE(propose(same_network).has_value());
  CHECK(propose(other)->candidate.index == 1);
  CHECK(proposer.proposed() == 2);
}

TEST_CASE("Proposer repairs what breaks a counted constraint") {
  const ToySpace space;
  Problem problem;
  problem.constraints = {parse_constraint("params <= 1000")};
  Rng rng(2);
  for (int round = 0; round < 20; ++round) {
    Proposer proposer(space, problem);
    const auto candidate = proposer.propose([&](Rng&) { return space.largest(); }, rng, 50);
    REQUIRE(candidate.has_value());
    CHECK(candidate->counted.at(parse_metric("params")).value <= 1000);
  }
  problem.constraints = {parse_constraint("params >= 3k")};
  Proposer proposer(space, problem);
  const auto candidate = proposer.propose([&](Rng&) { return space.smallest(); }, rng, 50);
  REQUIRE(candidate.has_value());
  CHECK(candidate->counted.at(parse_metric("params")).value >= 3000);
}

TEST_CASE("Proposer repairs towards the bound that is broken") {
  const ToySpace space;
  Problem problem;
  problem.constraints = {parse_constraint("params <= 1000"), parse_constraint("macs >= 1")};
  Rng rng(4);
  Proposer proposer(space, problem);
  const auto candidate = proposer.propose([&](Rng&) { return space.largest(); }, rng, 50);
  REQUIRE(candidate.has_value());
  CHECK(problem.counted_violation(candidate->counted) == 0.0);
}

TEST_CASE("Proposer gives up after bounded trying") {
  const ToySpace space;
  Problem problem;
  Proposer proposer(space, problem);
  Rng rng(3);
  int drawn = 0;
  const auto generate = [&](Rng&) {
    ++drawn;
    return space.smallest();
  };
  CHECK(proposer.propose(generate, rng, 50).has_value());
  drawn = 0;
  CHECK_FALSE(proposer.propose(generate, rng, 50).has_value());
  CHECK(drawn == 50);
  // Nothing can be repaired into this.
  problem.constraints = {parse_constraint("params <= 10")};
  drawn = 0;
  CHECK_FALSE(
      proposer.propose([&](Rng& r) { return ++drawn, space.sample(r); }, rng, 100000).has_value());
  CHECK(drawn <= 100);
}

TEST_CASE("Proposer::propose_uniform finds every last network") {
  const ToySpace space;
  Problem problem;
  problem.constraints = {parse_constraint("macs <= 20k")};
  Proposer proposer(space, problem);
  Rng rng(4);
  std::set<Architecture> found;
  while (const auto candidate = proposer.propose_uniform(rng)) {
    found.insert(candidate->candidate.architecture);
  }
  std::set<Architecture> expected;
  for (int i = 0; i < 100000; ++i) {
    const Architecture architecture = space.sample_genes(rng);
    if (counted_metrics(space.lower(architecture)).at(parse_metric("macs")).value <= 20e3) {
      expected.insert(architecture);
    }
  }
  CHECK(found == expected);
}

TEST_CASE("Proposer::restore takes a journal's proposals once and in order") {
  const ToySpace space;
  const Problem problem;
  Proposer proposer(space, problem);
  const CountedCandidate first = make_candidate(space, space.largest(), 0);
  proposer.restore(0, first.candidate.architecture, first.candidate.computation);
  CHECK(message_of<InvariantError>([&] {
          proposer.restore(2, space.smallest(), network::Digest{{1, 2}});
        }) == "Proposer::restore: index = 2, expected 1");
  CHECK(message_of<DataError>([&] {
          proposer.restore(1, first.candidate.architecture, first.candidate.computation);
        }) ==
        "search journal: proposal 1 = 3-3-1-3-1-3-1-3-1 stands twice, expected new ones only");
}

}  // namespace
}  // namespace lathe::search
