#include "network/pruning/channel_groups.h"

#include <doctest/doctest.h>

#include "network/reference_networks.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

Conv2d conv(int64_t out, int64_t groups = 1) {
  Conv2d op;
  op.out_channels = out;
  op.groups = groups;
  return op;
}

/// "a0 b0 b1 | a1 b2": the units of all groups, each channel as node and index.
std::string units(const Network& network) {
  std::string text;
  for (const ChannelGroup& group : find_channel_groups(network)) {
    for (const CoupledChannels& unit : group.units) {
      if (!text.empty()) text += " | ";
      std::string line;
      for (const Channel& channel : unit) {
        if (!line.empty()) line += " ";
        line += network.node(channel.node).name + std::to_string(channel.index);
      }
      text += line;
    }
  }
  return text;
}

TEST_CASE("The channels of a chain are tied through batch norm, activation, pools and resizing") {
  Network network;
  NodeId id = network.add_input("x", {1, 3, 8, 8});
  id = network.add("c", conv(2), {id});
  id = network.add("b", BatchNorm{}, {id});
  id = network.add("a", Activation{}, {id});
  id = network.add("m", MaxPool{}, {id});
  id = network.add("v", AveragePool{}, {id});
  id = network.add("r", Resize{5, 5}, {id});
  id = network.add("g", GlobalAveragePool{}, {id});
  network.add("last", conv(4), {id});
  CHECK(units(network) == "c0 b0 a0 m0 v0 r0 g0 | c1 b1 a1 m1 v1 r1 g1");
  const ChannelCoupling coupling(network);
  CHECK(coupling.is_fixed({0, 2}));
  CHECK(coupling.is_fixed({8, 3}));
  CHECK_FALSE(coupling.is_fixed({1, 1}));
  CHECK(coupling.classes() == 3);
}

TEST_CASE("What is tied to the network's input is fixed") {
  Network network;
  const NodeId input = network.add_input("x", {1, 2, 4, 4});
  const NodeId same = network.add("c", conv(2), {input});
  const NodeId sum = network.add("s", Add{}, {input, same});
  const NodeId free = network.add("f", conv(3), {sum});
  network.add("last", conv(1), {free});
  CHECK(units(network) == "f0 | f1 | f2");
}

TEST_CASE("A residual sum ties both of its inputs") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  const NodeId a = network.add("a", conv(2), {id});
  const NodeId b = network.add("b", conv(2), {a});
  const NodeId sum = network.add("s", Add{}, {a, b});
  network.add("last", conv(1), {sum});
  CHECK(units(network) == "a0 b0 s0 | a1 b1 s1");
  CHECK(find_channel_groups(network)[0].name == "a");
}

TEST_CASE("A depthwise convolution ties each input to all its outputs") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  id = network.add("a", conv(2), {id});
  id = network.add("d", conv(4, 2), {id});
  network.add("last", conv(1), {id});
  CHECK(units(network) == "a0 d0 d1 | a1 d2 d3");
}

TEST_CASE("A convolution with groups ties equal places of its groups, inputs and outputs apart") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  id = network.add("a", conv(4), {id});
  id = network.add("g", conv(6, 2), {id});
  network.add("last", conv(1), {id});
  CHECK(units(network) == "a0 a2 | a1 a3 | g0 g3 | g1 g4 | g2 g5");
}

TEST_CASE("Concatenation and slice map channels one by one") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  const NodeId a = network.add("a", conv(2), {id});
  const NodeId b = network.add("b", conv(3), {id});
  const NodeId joined = network.add("j", Concat{}, {a, b, a});
  const NodeId slice = network.add("s", ChannelSlice{1, 5}, {joined});
  network.add("last", conv(1), {slice});
  const std::vector<ChannelGroup> groups = find_channel_groups(network);
  CHECK(units(network) == "b0 j2 s1 | b1 j3 s2 | b2 j4 s3");
  const ChannelCoupling coupling(network);
  CHECK(coupling.class_of({a, 1}) == coupling.class_of({slice, 0}));
  CHECK(coupling.class_of({a, 1}) == coupling.class_of({joined, 6}));
  CHECK(coupling.class_of({a, 0}) == coupling.class_of({joined, 5}));
  REQUIRE(groups.size() == 1);  // a's two channels lie in different tensors, each alone
  CHECK(groups[0].name == "b");
}

TEST_CASE("A slice parts the channels of a convolution, and the group's name says where") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  const NodeId a = network.add("a", conv(5), {id});
  const NodeId slice = network.add("s", ChannelSlice{0, 2}, {a});
  const NodeId b = network.add("b", conv(1), {slice});
  const NodeId c = network.add("c", conv(1), {a});
  network.add("last", Add{}, {b, c});
  const std::vector<ChannelGroup> groups = find_channel_groups(network);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].name == "a@2");
  CHECK(groups[0].units.size() == 3);
  CHECK(groups[1].name == "a");
  CHECK(groups[1].nodes == std::vector<NodeId>{a, slice});
}

TEST_CASE("A shuffle ties the equal places of its groups") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  id = network.add("a", conv(6), {id});
  id = network.add("s", ChannelShuffle{2}, {id});  // 0 3 1 4 2 5
  network.add("last", conv(1), {id});
  CHECK(units(network) == "a0 a3 s0 s1 | a1 a4 s2 s3 | a2 a5 s4 s5");
}

TEST_CASE("A squeeze-excite gate lives and dies with what it scales") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 4, 4});
  const NodeId a = network.add("a", conv(2), {id});
  const NodeId pool = network.add("p", GlobalAveragePool{}, {a});
  const NodeId reduce = network.add("r", conv(3), {pool});
  const NodeId expand = network.add("e", conv(2), {reduce});
  const NodeId gated = network.add("m", Multiply{}, {a, expand});
  network.add("last", conv(1), {gated});
  CHECK(units(network) == "a0 p0 e0 m0 | a1 p1 e1 m1 | r0 | r1 | r2");
}

TEST_CASE("Flattening turns a channel into its pixels, features stay features") {
  Network network;
  NodeId id = network.add_input("x", {1, 1, 1, 2});
  id = network.add("a", conv(2), {id});
  id = network.add("f", Flatten{}, {id});
  id = network.add("h", Linear{2}, {id});
  id = network.add("g", Flatten{}, {id});
  network.add("last", Linear{3}, {id});
  CHECK(units(network) == "a0 f0 f1 | a1 f2 f3 | h0 g0 | h1 g1");
}

TEST_CASE("A network without free channels has no groups") {
  Network network;
  network.add_input("x", {1, 3, 4, 4});
  CHECK(find_channel_groups(network).empty());
  network.add("a", conv(5), {0});
  CHECK(find_channel_groups(network).empty());  // it is the result
}

TEST_CASE("MobileNetV2 has a group for each trunk and each expansion") {
  const Network network = reference_network("mobilenet_v2", {64, 3, 10});
  const std::vector<ChannelGroup> groups = find_channel_groups(network);
  // 17 blocks: stem + 16 expansions + 7 trunks (residual blocks share one) + head.
  CHECK(groups.size() == 25);
  size_t channels = 0;
  for (const ChannelGroup& group : groups) channels += group.units.size();
  CHECK(channels == 32 + (96 + 144 + 144 + 192 * 3 + 384 * 4 + 576 * 3 + 960 * 3) +
                        (16 + 24 + 32 + 64 + 96 + 160 + 320) + 1280);
}

TEST_CASE("Every free channel of a random network is in exactly one unit, with all it is tied to") {
  const Rng root(21);
  for (uint64_t i = 0; i < 200; ++i) {
    CAPTURE(i);
    const Network network = test::random_network(root.derive("groups", i));
    const ChannelCoupling coupling(network);
    std::vector<int> seen(coupling.classes(), 0);
    for (const ChannelGroup& group : find_channel_groups(network)) {
      CHECK(group.units.size() >= 2);
      for (const CoupledChannels& unit : group.units) {
        const size_t number = coupling.class_of(unit[0]);
        ++seen[number];
        CHECK_FALSE(coupling.is_fixed(unit[0]));
        CHECK(std::is_sorted(unit.begin(), unit.end()));
        for (const Channel& channel : unit) CHECK(coupling.class_of(channel) == number);
      }
    }
    CHECK(*std::max_element(seen.begin(), seen.end()) <= 1);
  }
}

}  // namespace
}  // namespace lathe::network
