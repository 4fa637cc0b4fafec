#include "network/pruning/removal_order.h"

#include <doctest/doctest.h>

#include <cmath>

#include "network/cost.h"
#include "network/pruning/prune.h"
#include "tests/support/forced_zero.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

Conv2d conv(int64_t out, int64_t groups = 1) {
  Conv2d op;
  op.out_channels = out;
  op.groups = groups;
  return op;
}

/// input -> a (width) -> b (width) -> last
Network chain(int64_t a, int64_t b) {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 2, 2});
  id = network.add("a", conv(a), {id});
  id = network.add("b", conv(b), {id});
  network.add("last", conv(1), {id});
  return network;
}

/// "a:0,2 b:1": the steps in order.
std::string shown(const std::vector<ChannelGroup>& groups, const std::vector<RemovalStep>& steps) {
  std::string text;
  for (const RemovalStep& step : steps) {
    if (!text.empty()) text += " ";
    text += groups[step.group].name + ":";
    for (const size_t unit : step.units) {
      if (text.back() != ':') text += ",";
      text += std::to_string(unit);
    }
  }
  return text;
}

std::string order(const Network& network, const ChannelScores& scores, RemovalOptions options) {
  const std::vector<ChannelGroup> groups = find_channel_groups(network);
  return shown(groups, removal_order(network, groups, scores, options));
}

TEST_CASE("Globally the least important units go first, whatever their layer") {
  RemovalOptions options;
  options.channel_multiple = 1;
  options.normalise_layers = false;
  CHECK(order(chain(3, 3), {{5, 1, 3}, {2, 4, 6}}, options) == "a:1 b:0 a:2 b:1");
  // Root mean squares 3.416 and 43.2: b's scores are 0.46, 0.93, 1.39 there, a's 0.29, 0.88, 1.46.
  options.normalise_layers = true;
  CHECK(order(chain(3, 3), {{5, 1, 3}, {20, 40, 60}}, options) == "a:1 b:0 a:2 b:1");
}

TEST_CASE("Locally all groups lose the same share") {
  RemovalOptions options;
  options.ranking = PruneRanking::Local;
  options.channel_multiple = 1;
  CHECK(order(chain(4, 2), {{5, 1, 3, 2}, {0, 0}}, options) == "a:1 a:3 b:0 a:2");
}

TEST_CASE("Layers stay multiples: the remainder goes first, the last multiple never") {
  RemovalOptions options;
  options.channel_multiple = 4;
  options.normalise_layers = false;
  CHECK(order(chain(10, 4), {{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {0, 0, 0, 0}}, options) ==
        "a:9,8 a:7,6,5,4");
  Network network;  // a depthwise convolution with two outputs a channel: two units make four
  NodeId id = network.add_input("x", {1, 1, 2, 2});
  id = network.add("g", conv(8), {id});
  id = network.add("s", ChannelShuffle{2}, {id});
  network.add("last", conv(1), {id});
  CHECK(order(network, {{3, 1, 2, 4}}, options) == "g:1,2");
}

TEST_CASE("Equal scores and scores of zero keep the order of the groups") {
  RemovalOptions options;
  options.channel_multiple = 1;
  CHECK(order(chain(2, 2), {{0, 0}, {0, 0}}, options) == "a:0 b:0");
  CHECK(order(chain(2, 2), {{}, {0, 0}}, options) == "b:0");  // a group without scores stays
}

TEST_CASE("Wrong scores are refused") {
  const Network network = chain(2, 2);
  const std::vector<ChannelGroup> groups = find_channel_groups(network);
  const auto message = [&](const ChannelScores& scores, int64_t multiple) {
    RemovalOptions options;
    options.channel_multiple = multiple;
    return test::message_of<InvariantError>(
        [&] { removal_order(network, groups, scores, options); });
  };
  CHECK(message({{1, 2}}, 8) == "removal_order: scores of 1 groups, expected 2");
  CHECK(message({{1, 2}, {1}}, 8) == "removal_order: group b: 1 scores, expected 2");
  CHECK(message({{1, 2}, {1, NAN}}, 8) ==
        "removal_order: group b: score = nan, expected a finite number");
  CHECK(message({{1, 2}, {1, 2}}, 0) == "removal_order: channel_multiple = 0, expected at least 1");
}

TEST_CASE("Rankings have names") {
  for (const PruneRanking ranking : {PruneRanking::Local, PruneRanking::Global})
    CHECK(prune_ranking_from_string(to_string(ranking)) == ranking);
  CHECK(test::message_of<ConfigError>([] { prune_ranking_from_string("x"); }) ==
        "ranking = x, expected one of local, global");
}

TEST_CASE("Every number of steps gives a valid network, smaller with every step") {
  const Rng root(24);
  for (uint64_t i = 0; i < 60; ++i) {
    CAPTURE(i);
    test::RandomNetworkOptions size;
    size.max_channels = 24;
    const Network network = test::random_network(root.derive("order", i), size);
    const std::vector<ChannelGroup> groups = find_channel_groups(network);
    Rng rng = root.derive("scores", i);
    ChannelScores scores;
    for (const ChannelGroup& group : groups) {
      std::vector<double>& all = scores.emplace_back();
      for (size_t u = 0; u < group.units.size(); ++u) all.push_back(rng.uniform());
    }
    for (const int64_t multiple : {1, 4, 8}) {
      RemovalOptions options;
      options.channel_multiple = multiple;
      options.ranking = rng.bernoulli(0.5) ? PruneRanking::Local : PruneRanking::Global;
      const std::vector<RemovalStep> steps = removal_order(network, groups, scores, options);
      int64_t params = cost(network).params;
      for (size_t count = 1; count <= steps.size(); ++count) {
        const Network pruned = prune(network, channels_of_steps(groups, steps, count));
        const int64_t fewer = cost(pruned).params;
        CHECK(fewer < params);
        params = fewer;
      }
    }
  }
}

}  // namespace
}  // namespace lathe::network
