#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "network/cost.h"
#include "supernet/train/samplers.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using search::Architecture;

namespace {

constexpr int64_t kStepsPerEpoch = 10;

struct Scene {
  Scene() : space(test::tiny_space(folder.path())) { options.epochs = 59; }
  std::unique_ptr<SubnetSampler> make(const std::string& name) {
    options.sampler.name = name;
    return make_sampler(*space, options, kStepsPerEpoch, 7);
  }
  /// What `sampler` draws at `step` as the trainer asks it.
  std::vector<DrawnSubnet> draw(SubnetSampler& sampler, int64_t step, const TryLoss& loss = {}) const {
    Rng rng = Rng(3).derive("subnets", static_cast<uint64_t>(step));
    return sampler.draw(step, rng, loss);
  }
  size_t gene(const std::string& name) const {
    for (size_t g = 0; g < space->genes().size(); ++g) {
      if (space->genes()[g].name == name) return g;
    }
    FAIL("no gene " << name);
    return 0;
  }

  test::TemporaryFolder folder;
  std::unique_ptr<search::SearchSpace> space;
  TrainOptions options;
};

}  // namespace

TEST_CASE("The sandwich is the largest on labels, random ones and the smallest on its outputs") {
  Scene scene;
  const auto sampler = scene.make("sandwich");
  const auto drawn = scene.draw(*sampler, 4);
  REQUIRE(drawn.size() == 4);
  CHECK(drawn[0].architecture == scene.space->largest());
  CHECK(drawn[0].learns_from == LearnsFrom::Labels);
  CHECK(drawn[0].regularised);
  CHECK(drawn[3].architecture == scene.space->smallest());
  for (size_t s = 1; s < 4; ++s) {
    CHECK(drawn[s].learns_from == LearnsFrom::Largest);
    CHECK_FALSE(drawn[s].regularised);
    CHECK(drawn[s].role == (s == 3 ? SubnetRole::Smallest : SubnetRole::Random));
  }
  CHECK(drawn[1].architecture != drawn[2].architecture);
  CHECK(scene.draw(*sampler, 5)[1].architecture != drawn[1].architecture);
}

TEST_CASE("The smallest may be trained in every nth step, and the others are drawn as ever") {
  Scene scene;
  for (const char* name : {"sandwich", "attentive"}) {
    CAPTURE(std::string(name));
    const TryLoss alike = [](const Architecture&) { return 1.0; };
    scene.options.sampler.smallest_every = 1;
    const auto always = scene.make(name);
    scene.options.sampler.smallest_every = 3;
    const auto seldom = scene.make(name);
    for (int64_t step = 0; step < 7; ++step) {
      auto expected = scene.draw(*always, step, alike);
      REQUIRE(expected.back().role == SubnetRole::Smallest);
      if (step % 3 != 0) expected.pop_back();
      const auto drawn = scene.draw(*seldom, step, alike);
      REQUIRE(drawn.size() == expected.size());
      for (size_t s = 0; s < drawn.size(); ++s) {
        CHECK(drawn[s].architecture == expected[s].architecture);
        CHECK(drawn[s].role == expected[s].role);
      }
    }
  }
}

TEST_CASE("Every sampler draws the same at a step, whatever was drawn before") {
  Scene scene;
  const TryLoss by_genes = [](const Architecture& a) {
    return std::fmod(static_cast<double>(search::ArchitectureHash()(a)), 1000.0);
  };
  for (const char* name : {"sandwich", "attentive", "uniform", "fair", "progressive"}) {
    CAPTURE(std::string(name));
    const auto sequential = scene.make(name);
    const auto jumping = scene.make(name);
    std::vector<DrawnSubnet> last;
    for (int64_t step = 0; step <= 400; ++step) last = scene.draw(*sequential, step, by_genes);
    const auto jumped = scene.draw(*jumping, 400, by_genes);
    REQUIRE(jumped.size() == last.size());
    for (size_t s = 0; s < last.size(); ++s) {
      CHECK(jumped[s].architecture == last[s].architecture);
      CHECK(scene.space->canonical(last[s].architecture) == last[s].architecture);
    }
  }
}

TEST_CASE("A single path learns the labels, as many a step as asked for") {
  Scene scene;
  scene.options.random_subnets = 3;
  const auto sampler = scene.make("uniform");
  std::set<Architecture> seen;
  for (int64_t step = 0; step < 50; ++step) {
    const auto drawn = scene.draw(*sampler, step);
    REQUIRE(drawn.size() == 3);
    for (const DrawnSubnet& subnet : drawn) {
      CHECK(subnet.learns_from == LearnsFrom::Labels);
      CHECK(subnet.role == SubnetRole::Random);
      seen.insert(subnet.architecture);
    }
  }
  CHECK(seen.size() > 100);
}

TEST_CASE("Strict fairness trains every option of a gene equally often in every turn") {
  // One stage of one block, so that all genes are active: 3 kernels, 2 expansions, 4 widths.
  const auto space = search::read_search_space_text(
      "{name: s, input: {channels: 1, resolution: 12}, classes: 10, stem: {width: 8}, stages: "
      "[{block: mbconv, depth: 1, width: [8, 16, 24, 32], kernel: [3, 5, 7], expand: [2, 3]}]}",
      "test");
  TrainOptions options;
  options.sampler.name = "fair";
  const auto sampler = make_sampler(*space, options, kStepsPerEpoch, 7);
  REQUIRE(space->genes().size() == 3);
  std::vector<std::vector<uint16_t>> values(3);
  for (int64_t step = 0; step < 60; ++step) {
    Rng rng(1);
    const auto drawn = sampler->draw(step, rng, {});
    REQUIRE(drawn.size() == 4);  // the widest gene's options
    for (const DrawnSubnet& subnet : drawn) {
      CHECK(subnet.learns_from == LearnsFrom::Labels);
      for (size_t g = 0; g < 3; ++g) values[g].push_back(subnet.architecture.genes[g]);
    }
  }
  std::set<std::vector<uint16_t>> orders;
  for (size_t g = 0; g < 3; ++g) {
    const size_t options_of_gene = space->genes()[g].options.size();
    for (size_t begin = 0; begin < values[g].size(); begin += options_of_gene) {
      const std::vector<uint16_t> turn(values[g].begin() + static_cast<std::ptrdiff_t>(begin),
                                       values[g].begin() + static_cast<std::ptrdiff_t>(begin + options_of_gene));
      CHECK(std::set<uint16_t>(turn.begin(), turn.end()).size() == options_of_gene);
      orders.insert(turn);
    }
  }
  CHECK(orders.size() > 20);  // of 2 + 6 + 24
}

TEST_CASE("Progressive shrinking lets in operators, then depths, then widths, each on a schedule") {
  Scene scene;
  const auto sampler = scene.make("progressive");
  const auto& phases = sampler->phases();
  REQUIRE(phases.size() == 6);
  CHECK(phases[0].steps == 180);  // 59 epochs of 10 steps are a tenth of the paper's epochs in steps
  CHECK(phases[1].steps == 120);
  CHECK(phases[2].steps == 25);
  CHECK(phases[5].first_step == 470);
  CHECK(phases[5].first_step + phases[5].steps == 590);
  CHECK(phases[1].takes_teacher);
  CHECK(std::count_if(phases.begin(), phases.end(),
                      [](const TrainingPhase& p) { return p.takes_teacher; }) == 1);
  CHECK(phases[4].sorts_channels);
  CHECK(learning_rate_at(phases, 5) == doctest::Approx(0.1));
  CHECK(learning_rate_at(phases, 0) == doctest::Approx(0.02));  // five steps of warm-up
  CHECK(learning_rate_at(phases, 185) == doctest::Approx(0.037));
  CHECK(learning_rate_at(phases, 300) == doctest::Approx(0.003));
  // Which options of which genes come up in each phase.
  const size_t resolution = scene.gene("resolution");
  const Architecture largest = scene.space->largest();
  for (const TrainingPhase& phase : phases) {
    std::map<std::string, bool> varies;
    for (int64_t step = phase.first_step; step < phase.first_step + phase.steps; ++step) {
      for (const DrawnSubnet& subnet : scene.draw(*sampler, step)) {
        const auto active = scene.space->active(subnet.architecture);
        for (size_t g = 0; g < active.size(); ++g) {
          const std::string& name = scene.space->genes()[g].name;
          if (!active[g] || g == resolution) continue;
          if (subnet.architecture.genes[g] != largest.genes[g])
            varies[name.substr(name.rfind('.') + 1)] = true;
        }
      }
    }
    CAPTURE(phase.name);
    CHECK(varies["kernel"] == (phase.name != "full"));
    CHECK(varies["squeeze_excite"] == (phase.name != "full"));
    CHECK(varies["depth"] == (phase.first_step >= phases[2].first_step));
    CHECK(varies["width"] == (phase.first_step >= phases[4].first_step));
    CHECK(varies["expand"] == (phase.first_step >= phases[4].first_step));
  }
}

TEST_CASE("Attentive sampling trains the best, or the worst, of several networks of like MACs") {
  Scene scene;
  for (const bool worst : {false, true}) {
    scene.options.sampler.train_worst = worst;
    scene.options.sampler.candidates = 4;
    const auto sampler = scene.make("attentive");
    for (int64_t step = 0; step < 20; ++step) {
      std::vector<Architecture> asked;
      Rng losses(static_cast<uint64_t>(step));
      std::vector<double> answers;
      const auto drawn = scene.draw(*sampler, step, [&](const Architecture& architecture) {
        asked.push_back(architecture);
        answers.push_back(losses.uniform());
        return answers.back();
      });
      REQUIRE(asked.size() == 8);  // 4 for each of 2 random networks
      for (size_t r = 0; r < 2; ++r) {
        const auto begin = answers.begin() + static_cast<std::ptrdiff_t>(4 * r);
        const auto best = worst ? std::max_element(begin, begin + 4) : std::min_element(begin, begin + 4);
        CHECK(drawn[1 + r].architecture == asked[static_cast<size_t>(best - answers.begin())]);
        std::vector<double> macs;
        for (size_t c = 4 * r; c < 4 * r + 4; ++c) {
          macs.push_back(static_cast<double>(network::cost(scene.space->lower(asked[c])).macs));
        }
        const auto [low, high] = std::minmax_element(macs.begin(), macs.end());
        CHECK(*high / *low < 1.35);
      }
    }
  }
}

TEST_CASE("An unknown sampler and a step past the end are refused") {
  Scene scene;
  CHECK(test::message_of<ConfigError>([&] { scene.make("sandwiches"); }) ==
        "/supernet/sampler = sandwiches, expected sandwich, attentive, uniform, fair or progressive");
  const auto sampler = scene.make("uniform");
  CHECK(test::message_of<InvariantError>([&] { learning_rate_at(sampler->phases(), 590); }) ==
        "phase_at: step = 590, expected one of the 590 steps");
}
