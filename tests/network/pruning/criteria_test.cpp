#include "network/pruning/criteria.h"

#include <doctest/doctest.h>

#include "network/cost.h"
#include "network/pruning/prune.h"
#include "tests/support/forced_zero.h"
#include "tests/support/message_of.h"

namespace lathe::network {
namespace {

/// input [1, 2, 2, 2] -> conv 2 -> bn -> depthwise -> last
Model small_model() {
  Model model;
  Conv2d conv;
  conv.out_channels = 2;
  NodeId id = model.network.add_input("x", {1, 2, 2, 2});
  id = model.network.add("a", conv, {id});
  id = model.network.add("b", BatchNorm{}, {id});
  Conv2d depthwise = conv;
  depthwise.groups = 2;
  id = model.network.add("d", depthwise, {id});
  conv.out_channels = 3;
  id = model.network.add("c", conv, {id});
  conv.out_channels = 1;
  model.network.add("last", conv, {id});
  model.weights = random_weights(model.network, 1);
  model.weights["a.weight"].values = {3, -4, 0, 1};
  model.weights["b.gamma"].values = {-2, 0.5};
  model.weights["d.weight"].values = {-7, 2};
  model.weights["c.weight"].values = {1, 0, -1, -1, 0, 5};
  return model;
}

TEST_CASE("Norms are summed over all that is tied, batch norm counts its scale") {
  const Model model = small_model();
  const std::vector<ChannelGroup> groups = find_channel_groups(model.network);
  REQUIRE(groups.size() == 2);
  ChannelScores scores = weight_scores(model, groups, PruneCriterion::L1, 1);
  CHECK(scores[0] == std::vector<double>{14, 3});
  CHECK(scores[1] == std::vector<double>{1, 2, 5});
  scores = weight_scores(model, groups, PruneCriterion::L2, 1);
  CHECK(scores[0] == std::vector<double>{12, 3});
  CHECK(scores[1][1] == doctest::Approx(std::sqrt(2.0)));
  scores = weight_scores(model, groups, PruneCriterion::BnScale, 1);
  CHECK(scores[0] == std::vector<double>{2, 0.5});
  CHECK(scores[1].empty());  // no batch norm behind it
}

TEST_CASE("The random control depends on the seed and the group's name alone") {
  const Model model = small_model();
  const std::vector<ChannelGroup> groups = find_channel_groups(model.network);
  const auto scores = weight_scores(model, groups, PruneCriterion::Random, 5);
  CHECK(scores == weight_scores(model, groups, PruneCriterion::Random, 5));
  CHECK(scores != weight_scores(model, groups, PruneCriterion::Random, 6));
  CHECK(weight_scores(model, {groups[1]}, PruneCriterion::Random, 5)[0] == scores[1]);
}

TEST_CASE("A unit's multiply-accumulates are those of its rows and columns") {
  const Model model = small_model();
  const auto macs = macs_of_units(model.network, find_channel_groups(model.network));
  CHECK(macs == std::vector<int64_t>{4 * (2 + 1 + 3), 4 * (2 + 1)});
}

TEST_CASE("Criteria have names, and those of images are refused without") {
  CHECK(prune_criterion_names().size() == 9);
  for (const std::string& name : prune_criterion_names())
    CHECK(to_string(prune_criterion_from_string(name)) == name);
  CHECK(test::message_of<ConfigError>([] { prune_criterion_from_string("L3"); }) ==
        "criterion = L3, expected one of l1, l2, bn_scale, random, mean_activation, apoz, entropy, "
        "taylor, fisher");
  const Model model = small_model();
  CHECK(test::message_of<InvariantError>([&] {
          weight_scores(model, {}, PruneCriterion::Fisher, 1);
        }) == "weight_scores: criterion = fisher, expected one that needs no images");
  int with_images = 0;
  for (const std::string& name : prune_criterion_names())
    with_images += needs_images(prune_criterion_from_string(name)) ? 1 : 0;
  CHECK(with_images == 5);
}

}  // namespace
}  // namespace lathe::network
