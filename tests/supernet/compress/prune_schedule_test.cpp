#include "supernet/compress/prune_schedule.h"

#include <doctest/doctest.h>

#include "core/file.h"
#include "network/digest.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/reference_networks.h"
#include "supernet/compress/prune_sensitivity.h"
#include "tests/support/fake_evaluators.h"
#include "tests/support/fake_supernet.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"
#include "tests/support/temporary_folder.h"

namespace lathe::supernet {
namespace {

const std::function<bool()> kNever = [] { return false; };

struct Scene {
  Scene() {
    model.network = network::reference_network("mobilenet_v2_0.35", {32, 3, 10});
    model.weights = test::trained_looking_weights(model.network, Rng(4));
    options.criterion = network::PruneCriterion::L1;
    options.target = parse_prune_target("macs x0.5");
    before = network::cost(model.network);
  }

  PruneOutcome run(const std::string& name = "prune", const std::function<bool()>& stop = kNever) {
    PruneSchedule schedule(supernet, options, latency, 7);
    return schedule.run(model, nullptr, folder / name, no_progress(), stop);
  }

  test::TemporaryFolder folder;
  test::FakeSupernet supernet;
  network::Model model;
  network::Cost before;
  PruneOptions options;
  search::LatencyEvaluator* latency = nullptr;
};

/// A `stop` that lets `rounds` rounds through.
std::function<bool()> after(int rounds) {
  return [left = rounds]() mutable { return left-- <= 0; };
}

TEST_CASE("Rounds reach the target in equal ratios, each fine-tuned") {
  Scene scene;
  const PruneOutcome outcome = scene.run();
  CHECK(outcome.end == PruneEnd::Target);
  REQUIRE(outcome.rounds.size() == 5);
  const auto all = static_cast<double>(scene.before.macs);
  CHECK(outcome.rounds[0].macs == scene.before.macs);
  for (size_t r = 1; r < 5; ++r) {
    CAPTURE(r);
    const double goal = all * std::pow(0.5, static_cast<double>(r) / 4.0);
    CHECK(outcome.rounds[r].value.value <= goal);
    CHECK(outcome.rounds[r].value.value > 0.93 * goal);  // one step of 8 channels is less
    CHECK(outcome.rounds[r].value.value == static_cast<double>(outcome.rounds[r].macs));
    CHECK(outcome.rounds[r].validation.top1 ==
          doctest::Approx(outcome.rounds[r].top1_pruned + 0.01));
  }
  CHECK(scene.supernet.tunings.size() == 4);
  CHECK(scene.supernet.tunings[0].epochs == 1.0);
  CHECK(scene.supernet.tunings[0].gamma_sparsity == 0.0);
  CHECK(scene.supernet.tunings[0].seed != scene.supernet.tunings[1].seed);
  network::check_weights(outcome.pruned.model.network, outcome.pruned.model.weights);
  CHECK(network::cost(outcome.pruned.model.network).macs == outcome.rounds[4].macs);
  for (const network::Node& node : outcome.pruned.model.network.nodes()) {
    if (node.shape[1] < 10 || node.id == outcome.pruned.model.network.output()) continue;
    CHECK(node.shape[1] % 8 == 0);
  }
}

TEST_CASE("Every counted metric can be a bound") {
  for (const char* target : {"params <= 300k", "model_size x0.6", "peak_memory x0.7"}) {
    CAPTURE(target);
    Scene scene;
    scene.options.target = parse_prune_target(target);
    scene.options.rounds = 2;
    const PruneOutcome outcome = scene.run();
    CHECK(outcome.end == PruneEnd::Target);
    const search::MetricValue& first = outcome.rounds.front().value;
    const double bound = scene.options.target->factor > 0.0
                             ? scene.options.target->factor * first.value
                             : scene.options.target->bound;
    CHECK(outcome.rounds.back().value.value <= bound);
  }
}

TEST_CASE("A latency is measured where bisection needs it, and its upper end counts") {
  Scene scene;
  test::FakeLatency latency("pi4");
  int measurements = 0;
  latency.hook = [&](const search::Candidate& candidate) {
    ++measurements;
    CHECK(candidate.structure ==
          network::digest(network::deploy(*candidate.network), network::DigestKind::Structure));
  };
  scene.latency = &latency;
  scene.options.target = parse_prune_target("latency@pi4 x0.7");
  const PruneOutcome outcome = scene.run();
  CHECK(outcome.end == PruneEnd::Target);
  const double goal = 0.7 * outcome.rounds[0].value.value;
  CHECK(outcome.rounds.back().value.high <= goal);
  CHECK(outcome.rounds.back().value.high > 0.9 * goal);
  CHECK(measurements <= 1 + 4 * 10);

  latency.value = [](const search::Candidate&) -> Result<latency::LatencyEstimate> {
    return Failure{FailureKind::Unavailable, "no board"};
  };
  CHECK(test::message_of<DeviceError>([&] { scene.run("again"); }) ==
        "device pi4: measuring a pruned network: unavailable: no board");
  scene.latency = nullptr;
  CHECK(test::message_of<ConfigError>([&] { scene.run("third"); }) ==
        "prune: target latency@pi4 x0.7, expected a device called pi4");
  test::FakeLatency other("pi5");
  scene.latency = &other;
  CHECK(test::message_of<ConfigError>([&] { scene.run("fourth"); }) ==
        "prune: target latency@pi4 x0.7, expected a device called pi4, not pi5");
}

TEST_CASE("A round that loses too much is taken back") {
  Scene scene;
  scene.supernet.gain = 0.0;
  scene.supernet.top1_of = [&scene](const network::Model& model) {
    return static_cast<double>(network::cost(model.network).macs) /
           static_cast<double>(scene.before.macs);
  };
  scene.options.accuracy_drop = 0.35;  // rounds leave 0.84, 0.71, 0.59, 0.5
  const PruneOutcome outcome = scene.run();
  CHECK(outcome.end == PruneEnd::Floor);
  REQUIRE(outcome.rounds.size() == 3);
  CHECK(outcome.pruned.validation.top1 >= 0.65);
  CHECK(scene.run().end == PruneEnd::Floor);  // read back

  scene.options.target.reset();
  scene.options.rounds = 2;
  const PruneOutcome rounds = scene.run("without target");
  CHECK(rounds.end == PruneEnd::Rounds);
  CHECK(rounds.pruned.validation.top1 <= 0.81);
  CHECK(rounds.pruned.validation.top1 > 0.77);
}

TEST_CASE("A target out of reach ends with every layer at its least width") {
  Scene scene;
  scene.options.target = parse_prune_target("macs <= 1");
  scene.options.rounds = 1;
  const PruneOutcome outcome = scene.run();
  CHECK(outcome.end == PruneEnd::Exhausted);
  REQUIRE(outcome.rounds.size() == 2);
  for (const network::Node& node : outcome.pruned.model.network.nodes())
    if (std::holds_alternative<network::Conv2d>(node.op)) CHECK(node.shape[1] == 8);
}

TEST_CASE("A target that is met already needs no round") {
  Scene scene;
  scene.options.target = parse_prune_target("macs <= 1G");
  const PruneOutcome outcome = scene.run();
  CHECK(outcome.end == PruneEnd::Target);
  CHECK(outcome.rounds.size() == 1);
  CHECK(scene.supernet.tunings.empty());
}

TEST_CASE("Training with sparsity comes before the first round") {
  Scene scene;
  scene.options.sparsity = 1e-3;
  scene.options.sparsity_epochs = 2.5;
  const PruneOutcome outcome = scene.run();
  REQUIRE(scene.supernet.tunings.size() == 5);
  CHECK(scene.supernet.tunings[0].gamma_sparsity == 1e-3);
  CHECK(scene.supernet.tunings[0].epochs == 2.5);
  CHECK(outcome.rounds[0].validation.top1 == doctest::Approx(outcome.rounds[0].top1_pruned + 0.01));
}

TEST_CASE("A run stopped between rounds gives what an uninterrupted one gives") {
  for (const char* criterion : {"l1", "random"}) {
    CAPTURE(criterion);
    Scene scene;
    scene.options.criterion = network::prune_criterion_from_string(criterion);
    const PruneOutcome whole = scene.run("whole");
    for (int step = 0; step < 3; ++step)
      CHECK(scene.run("parts", after(1)).end == PruneEnd::Stopped);
    const size_t tunings = scene.supernet.tunings.size();
    const PruneOutcome parts = scene.run("parts");
    CHECK(scene.supernet.tunings.size() == tunings + 1);
    CHECK(parts.end == PruneEnd::Target);
    CHECK(network::to_onnx(parts.pruned.model) == network::to_onnx(whole.pruned.model));
    REQUIRE(parts.rounds.size() == whole.rounds.size());
    for (size_t r = 0; r < parts.rounds.size(); ++r)
      CHECK(parts.rounds[r].validation.top1 == whole.rounds[r].validation.top1);
    scene.run("parts");
    CHECK(scene.supernet.tunings.size() == tunings + 1);  // nothing is done twice
  }
}

TEST_CASE("Rounds of something else or a damaged file are refused") {
  Scene scene;
  scene.options.rounds = 1;
  scene.run();
  const std::string path = (scene.folder / "prune" / "rounds.json").string();
  scene.options.rounds = 2;
  std::string message = test::message_of<DataError>([&] { scene.run(); });
  CHECK(message.rfind(path + ": rounds of\nmodel ", 0) == 0);
  CHECK(message.find("\nrounds 1\n") < message.find("\nexpected\n"));
  CHECK(message.find("\nrounds 2\n") > message.find("\nexpected\n"));
  scene.options.rounds = 1;
  scene.supernet.training = "data: other";
  message = test::message_of<DataError>([&] { scene.run(); });
  CHECK(message.find("\ndata: fake\n") < message.find("\nexpected\n"));
  CHECK(message.find("\ndata: other\n") > message.find("\nexpected\n"));
  scene.options.rounds = 2;
  write_file_atomically(path, "{\"identity\": 3");
  message = test::message_of<DataError>([&] { scene.run(); });
  CHECK(message.rfind(path + ": damaged (", 0) == 0);
  scene.options.target.reset();
  CHECK(test::message_of<ConfigError>([&] { scene.run(); }) ==
        "prune: no target and no accuracy_drop, expected at least one");
}

TEST_CASE("A criterion that judges no layer is refused") {
  Scene scene;
  scene.model = network::deploy(scene.model);  // batch norms are folded
  scene.options.criterion = network::PruneCriterion::BnScale;
  CHECK(test::message_of<ConfigError>([&] { scene.run(); }) ==
        "prune: criterion bn_scale judges no layer of the network, expected another criterion");
  scene.options.criterion = network::PruneCriterion::L2;
  CHECK(scene.run("by norm").end == PruneEnd::Target);
}

TEST_CASE("Ends have names") {
  for (const PruneEnd end : {PruneEnd::Target, PruneEnd::Floor, PruneEnd::Rounds,
                             PruneEnd::Exhausted, PruneEnd::Stopped})
    CHECK(prune_end_from_string(to_string(end)) == end);
  CHECK(test::message_of<DataError>([] { prune_end_from_string("x"); }) ==
        "end of pruning = x, expected one of target, floor, rounds, exhausted, stopped");
}

TEST_CASE("Sensitivity prunes one group after the other") {
  Scene scene;
  Supernet::ChannelScoreOptions scoring;
  scoring.criterion = network::PruneCriterion::L1;
  const auto rows =
      prune_sensitivity(scene.supernet, scene.model, scoring, {0.25, 0.5, 1.0}, no_progress());
  const auto groups = network::find_channel_groups(scene.model.network);
  REQUIRE(rows.size() == groups.size());
  CHECK(rows[0].group == groups[0].name);
  for (const PruneSensitivity& row : rows) {
    REQUIRE(row.points.size() == 3);
    CHECK(row.points[0].removed == row.channels / 4);
    CHECK(row.points[1].removed == row.channels / 2);
    CHECK(row.points[2].removed == row.channels - 1);
    CHECK(row.points[0].drop > 0.0);
    CHECK(row.points[2].drop > row.points[0].drop);
    CHECK(row.points[2].macs < row.points[0].macs);
  }
  scoring.criterion = network::PruneCriterion::BnScale;
  CHECK(prune_sensitivity(scene.supernet, network::deploy(scene.model), scoring, {0.5},
                          no_progress())
            .empty());  // no batch norms left to judge by
}

}  // namespace
}  // namespace lathe::supernet
