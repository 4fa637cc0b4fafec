#include "core/rng.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "core/statistics.h"
#include "tests/support/message_of.h"

namespace lathe {
namespace {

using test::message_of;

TEST_CASE("stable_hash and the first values of streams are frozen") {
  // The values come from an independent program (the reference generator of Nishimura and
  // Matsumoto). A change here silently changes every result that was ever recorded with a seed.
  CHECK(stable_hash("") == 0xefd01f60ba992926ULL);
  CHECK(stable_hash("lathe") == 0xdd396581ad66c264ULL);
  Rng root(7);
  CHECK(root.next() == 0xc11f6531eb66d9a7ULL);
  CHECK(Rng(7).derive("mutation").next() == 0x6251c41b5b726c69ULL);
  CHECK(Rng(7).derive("mutation", 3).next() == 0xfea96cdb649ab952ULL);
  Rng distributions = Rng(7).derive("frozen");
  CHECK(distributions.uniform() == 0x1.e4fef7e1bbe5dp-1);
  CHECK(distributions.below(1000) == 781);
  CHECK(distributions.integer(-5, 5) == -2);
  CHECK(distributions.normal() == doctest::Approx(-0.44901973998823536).epsilon(1e-15));
  CHECK(distributions.weighted({1.0, 2.0, 3.0}) == 0);
  std::vector<int> order = {0, 1, 2, 3, 4, 5, 6, 7};
  distributions.shuffle(order);
  CHECK(order == std::vector<int>{6, 4, 1, 2, 0, 7, 3, 5});
}

TEST_CASE("mt19937_64 is the engine of the standard") {
  // 26.6.5 of the standard: the 10000th value of the default seed.
  Rng rng(5489);
  for (int i = 0; i < 9999; ++i) rng.next();
  CHECK(rng.next() == 9981545732273789042ULL);
}

TEST_CASE("Rng::derive depends on seed, name and index and not on the position") {
  Rng used(11);
  for (int i = 0; i < 100; ++i) used.next();
  CHECK(used.derive("a", 5).next() == Rng(11).derive("a", 5).next());

  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (const char* name : {"", "a", "b", "ab", "train", "mutation"}) {
      for (uint64_t index = 0; index < 50; ++index) {
        firsts.insert(Rng(seed).derive(name, index).next());
      }
    }
  }
  CHECK(firsts.size() == 10 * 6 * 50);
}

TEST_CASE("neighbouring derived streams are not correlated") {
  const Rng root(3);
  std::vector<double> left;
  std::vector<double> right;
  for (uint64_t i = 0; i < 4000; ++i) {
    left.push_back(root.derive("item", i).uniform());
    right.push_back(root.derive("item", i + 1).uniform());
  }
  // The standard error of Spearman's coefficient is 1/sqrt(4000) = 0.0158.
  CHECK(std::abs(spearman(left, right)) < 4.0 * 0.0158);
  CHECK(mean(left) == doctest::Approx(0.5).epsilon(0.04));
}

TEST_CASE("Rng::below is uniform for a bound that does not divide 2^64") {
  Rng rng(99);
  std::array<int, 7> counts = {};
  constexpr int kDraws = 70000;
  for (int i = 0; i < kDraws; ++i) ++counts[rng.below(7)];
  double chi_square = 0.0;
  for (const int count : counts) chi_square += std::pow(count - kDraws / 7.0, 2) / (kDraws / 7.0);
  CHECK(chi_square < 22.46);  // 6 degrees of freedom, 0.1 %
  CHECK(chi_square > 0.38);   // too even is as suspicious
}

TEST_CASE("Rng::below has no modulo bias where the bias would be largest") {
  // With bound 3 * 2^62 a plain remainder would fall below 2^62 half of the time instead of a
  // third.
  Rng rng(5);
  const uint64_t bound = uint64_t{3} << 62;
  int low = 0;
  for (int i = 0; i < 30000; ++i) low += rng.below(bound) < (uint64_t{1} << 62) ? 1 : 0;
  CHECK(low / 30000.0 == doctest::Approx(1.0 / 3.0).epsilon(0.03));
  CHECK(message_of<InvariantError>([&] { rng.below(0); }) ==
        "Rng::below: bound = 0, expected at least 1");
}

TEST_CASE("Rng::integer reaches both ends, of the whole range too") {
  Rng rng(1);
  std::set<int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(rng.integer(-2, 2));
  CHECK(seen == std::set<int64_t>{-2, -1, 0, 1, 2});
  CHECK(rng.integer(5, 5) == 5);
  using Limits = std::numeric_limits<int64_t>;
  bool negative = false;
  bool positive = false;
  for (int i = 0; i < 64; ++i) {
    const int64_t value = rng.integer(Limits::min(), Limits::max());
    negative = negative || value < 0;
    positive = positive || value > 0;
  }
  CHECK(negative);
  CHECK(positive);
  CHECK(message_of<InvariantError>([&] { rng.integer(3, 2); }) ==
        "Rng::integer: range = [3, 2], expected low <= high");
}

TEST_CASE("Rng::uniform stays within its range and refuses a bad one") {
  Rng rng(8);
  for (int i = 0; i < 10000; ++i) {
    const double unit = rng.uniform();
    REQUIRE(unit >= 0.0);
    REQUIRE(unit < 1.0);
    // A range of two neighbouring numbers, where rounding reaches the open end.
    const double next = std::nextafter(1.0, 2.0);
    REQUIRE(rng.uniform(1.0, next) == 1.0);
  }
  CHECK(message_of<InvariantError>([&] { rng.uniform(2.0, 1.0); }) ==
        "Rng::uniform: range = [2.000000, 1.000000), expected finite ends in increasing order");
  CHECK_THROWS_AS(rng.uniform(0.0, std::numeric_limits<double>::infinity()), InvariantError);
  CHECK_THROWS_AS(rng.uniform(std::nan(""), 1.0), InvariantError);
}

TEST_CASE("Rng::normal has the moments of the normal distribution") {
  Rng rng(21);
  std::vector<double> sample;
  for (int i = 0; i < 40000; ++i) sample.push_back(rng.normal());
  CHECK(std::abs(mean(sample)) < 4.0 / std::sqrt(40000.0));
  CHECK(standard_deviation(sample) == doctest::Approx(1.0).epsilon(0.02));
  CHECK(quantile(sample, 0.975) == doctest::Approx(1.95996).epsilon(0.03));
  CHECK(quantile(sample, 0.025) == doctest::Approx(-1.95996).epsilon(0.03));
}

TEST_CASE("Rng::weighted draws in proportion and refuses weights without a meaning") {
  Rng rng(4);
  std::array<int, 4> counts = {};
  for (int i = 0; i < 40000; ++i) ++counts[rng.weighted({1.0, 0.0, 3.0, 0.0})];
  CHECK(counts[1] == 0);
  CHECK(counts[3] == 0);
  CHECK(counts[2] / 40000.0 == doctest::Approx(0.75).epsilon(0.02));
  CHECK(message_of<InvariantError>([&] {
          rng.weighted({1.0, -1.0});
        }) == "Rng::weighted: weight 1 = -1.000000, expected finite and at least 0");
  CHECK(message_of<InvariantError>([&] {
          rng.weighted({0.0, 0.0});
        }) == "Rng::weighted: sum of 2 weights = 0.000000, expected finite and above 0");
  CHECK(message_of<InvariantError>([&] { rng.weighted({}); }) ==
        "Rng::weighted: sum of 0 weights = 0.000000, expected finite and above 0");
  CHECK_THROWS_AS(rng.weighted({std::nan("")}), InvariantError);
}

TEST_CASE("Rng::bernoulli is never true at 0 and always at 1") {
  Rng rng(6);
  int hits = 0;
  for (int i = 0; i < 20000; ++i) {
    REQUIRE_FALSE(rng.bernoulli(0.0));
    REQUIRE(rng.bernoulli(1.0));
    hits += rng.bernoulli(0.3) ? 1 : 0;
  }
  CHECK(hits / 20000.0 == doctest::Approx(0.3).epsilon(0.04));
  CHECK(message_of<InvariantError>([&] { rng.bernoulli(1.5); }) ==
        "Rng::bernoulli: p = 1.500000, expected within [0, 1]");
}

TEST_CASE("Rng::shuffle gives every order of three equally often") {
  Rng rng(12);
  std::array<int, 27> counts = {};
  for (int i = 0; i < 12000; ++i) {
    std::vector<int> values = {0, 1, 2};
    rng.shuffle(values);
    ++counts[static_cast<size_t>(values[0] * 9 + values[1] * 3 + values[2])];
  }
  double chi_square = 0.0;
  int orders = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++orders;
    chi_square += std::pow(count - 2000.0, 2) / 2000.0;
  }
  CHECK(orders == 6);
  CHECK(chi_square < 20.52);  // 5 degrees of freedom, 0.1 %
}

TEST_CASE("Rng::choose refuses an empty list") {
  Rng rng(1);
  const std::vector<int> empty;
  CHECK(message_of<InvariantError>([&] { rng.choose(empty); }) == "Rng::choose: the list is empty");
}

TEST_CASE("Rng::load continues where save stopped and derives the same streams") {
  Rng rng(77);
  for (int i = 0; i < 1000; ++i) rng.next();
  const std::string saved = rng.save();
  Rng loaded = Rng::load(saved);
  CHECK(loaded.seed() == 77);
  CHECK(loaded.derive("x").next() == rng.derive("x").next());
  for (int i = 0; i < 1000; ++i) REQUIRE(loaded.next() == rng.next());
}

TEST_CASE("Rng::load refuses what save did not write") {
  const std::string saved = Rng(1).save();
  for (const std::string& text :
       {std::string(), std::string("lathe-rng-1"), std::string("lathe-rng-1 1"),
        saved.substr(0, saved.size() / 2), saved + " 5", "x" + saved, saved + "\n"}) {
    CHECK(message_of<DataError>([&] { Rng::load(text); }) ==
          "Rng::load: text = \"" + text.substr(0, 40) + "\", expected what Rng::save wrote");
  }
}

TEST_CASE("gamma has the moments of its distribution, for shapes below and above 1") {
  for (const double shape : {0.3, 1.0, 4.5}) {
    Rng rng(12);
    double sum = 0.0;
    double squares = 0.0;
    for (int i = 0; i < 40000; ++i) {
      const double value = rng.gamma(shape);
      CHECK(value >= 0.0);
      sum += value;
      squares += value * value;
    }
    const double mean = sum / 40000.0;
    CHECK(mean == doctest::Approx(shape).epsilon(0.04));
    CHECK(squares / 40000.0 - mean * mean == doctest::Approx(shape).epsilon(0.08));
  }
  CHECK(message_of<InvariantError>([] { Rng(1).gamma(0.0); }) ==
        "Rng::gamma: shape = 0.000000, expected a positive number");
}

}  // namespace
}  // namespace lathe
