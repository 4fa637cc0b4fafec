#include "supernet/compress/prune_options.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/message_of.h"

namespace lathe::supernet {
namespace {

const std::string kExpected =
    "METRIC xFACTOR (0 < FACTOR < 1) or METRIC <= VALUE, with one of macs, params, peak_memory, "
    "model_size, latency@DEVICE, such as latency@pi4 x0.7";

PruneOptions read(const std::string& text) {
  ConfigDocument document = ConfigDocument::read_text(text, "a.yaml");
  ConfigSection root = document.root();
  const PruneOptions options = read_prune_options(root.section("prune"));
  root.finish();
  document.throw_if_faults();
  return options;
}

TEST_CASE("Targets are read and written") {
  PruneTarget target = parse_prune_target("latency@pi4 x0.7");
  CHECK(target.metric == search::Metric{search::MetricKind::Latency, "pi4"});
  CHECK(target.factor == 0.7);
  CHECK(to_string(target) == "latency@pi4 x0.7");
  target = parse_prune_target("macs <= 20M");
  CHECK(target.metric.kind == search::MetricKind::Macs);
  CHECK(target.factor == 0.0);
  CHECK(target.bound == 20e6);
  CHECK(to_string(target) == "macs <= 20000000");
  CHECK(parse_prune_target("latency@a <= 3ms").bound == 3.0);
  CHECK(parse_prune_target("model_size x0.5").factor == 0.5);
}

TEST_CASE("What is no target is refused with what one is") {
  for (const std::string text :
       {"", "macs", "macs x1", "macs x0", "macs x-1", "macs x0.5x", "macs x", "x0.5", "speed x0.5",
        "latency x0.5", "accuracy x0.5", "energy@pi4 x0.5", "macs >= 2M", "macs <= 0",
        "macs <= 2ms", "latency@pi4 <= 2", "macs x1e-1", "macs 0.5"}) {
    CAPTURE(text);
    CHECK(test::message_of<ConfigError>([&] { parse_prune_target(text); }) ==
          "target = " + text + ", expected " + kExpected);
  }
}

TEST_CASE("The section is read with its defaults") {
  const PruneOptions nothing = read("{}");
  CHECK_FALSE(nothing.enabled());
  CHECK(nothing.criterion == PruneOptions().criterion);
  const PruneOptions all = read(R"(
prune: {target: latency@pi4 x0.7, accuracy_drop: 0.01, criterion: bn_scale, ranking: local, channel_multiple: 4,
        images: 2k, rounds: 3, finetune_epochs: 0.5, learning_rate: 0.01, sparsity: 1e-4, sparsity_epochs: 2}
)");
  CHECK(all.enabled());
  CHECK(all.target->factor == 0.7);
  CHECK(*all.accuracy_drop == 0.01);
  CHECK(all.criterion == network::PruneCriterion::BnScale);
  CHECK(all.ranking == network::PruneRanking::Local);
  CHECK(all.channel_multiple == 4);
  CHECK(all.images == 2000);
  CHECK(all.rounds == 3);
  CHECK(all.finetune_epochs == 0.5);
  CHECK(all.learning_rate == 0.01);
  CHECK(all.sparsity == 1e-4);
  CHECK(all.sparsity_epochs == 2.0);
  CHECK(read("prune: {accuracy_drop: 0.02}").enabled());
}

TEST_CASE("Every fault of the section is named with its place") {
  const std::pair<const char*, std::string> cases[] = {
      {"{rounds: 3}",
       "a.yaml:1: /prune: expected target, accuracy_drop or both: where pruning ends"},
      {"{target: macs}", "a.yaml:1: /prune/target = macs, expected " + kExpected},
      {"{target: macs x0.5, rounds: 0}", "a.yaml:1: /prune/rounds = 0, expected"},
      {"{target: macs x0.5, criterion: l3}",
       "a.yaml:1: /prune/criterion = l3, expected one of l1, l2, bn_scale, random, "
       "mean_activation, apoz, entropy, taylor, fisher"},
      {"{target: macs x0.5, ranking: both}",
       "a.yaml:1: /prune/ranking = both, expected one of local, global"},
      {"{target: macs x0.5, channel_multiple: 0}",
       "a.yaml:1: /prune/channel_multiple = 0, expected"},
      {"{target: macs x0.5, sparsity: 0.1}",
       "a.yaml:1: /prune/sparsity = 0.1, expected sparsity and sparsity_epochs together, or "
       "neither"},
      {"{target: macs x0.5, sparsity_epochs: 1}",
       "a.yaml:1: /prune/sparsity is missing, expected sparsity and sparsity_epochs together, or "
       "neither"},
      {"{accuracy_drop: 1.5}", "a.yaml:1: /prune/accuracy_drop = 1.5, expected"},
      {"{accuracy_drop: 0.1, learning_rate: 0}", "a.yaml:1: /prune/learning_rate = 0, expected"},
      {"{accuracy_drop: 0.1, epochs: 3}", "a.yaml:1: /prune/epochs"},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const std::string message =
        test::message_of<ConfigError>([section = text] { read(std::string("prune: ") + section); });
    CAPTURE(message);
    CHECK(message.rfind(expected, 0) == 0);
  }
}

}  // namespace
}  // namespace lathe::supernet
