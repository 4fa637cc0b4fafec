#include "network/digest.h"

#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "network/operator_fields.h"
#include "network/passes.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

using test::message_of;

constexpr DigestKind kKinds[] = {DigestKind::Computation, DigestKind::Structure};

/// Rebuilds a network under other node names; parameter names stay.
Network renamed(const Network& network) {
  Network result;
  for (const Node& node : network.nodes()) {
    const std::string name = "other" + std::to_string(node.id);
    if (node.id == network.input()) {
      result.add_input(name, node.shape);
      continue;
    }
    std::string prefix;
    if (!node.parameters.empty()) {
      const std::string& first = node.parameters[0].name;
      prefix = first.substr(0, first.rfind('.'));
    }
    result.add(name, node.op, node.inputs, prefix);
  }
  result.set_output(network.output());
  return result;
}

TEST_CASE("Digests do not depend on node names") {
  const Rng root(3);
  for (uint64_t i = 0; i < 50; ++i) {
    const Network network = test::random_network(root.derive("digest", i));
    for (const DigestKind kind : kKinds) {
      CHECK(digest(renamed(network), kind) == digest(network, kind));
      CHECK(node_digests(renamed(network), kind) == node_digests(network, kind));
    }
  }
}

TEST_CASE("Digests of different random networks differ") {
  const Rng root(4);
  for (const DigestKind kind : kKinds) {
    std::set<Digest> seen;
    for (uint64_t i = 0; i < 500; ++i) {
      seen.insert(digest(test::random_network(root.derive("digest", i)), kind));
    }
    CHECK(seen.size() == 500);
  }
}

/// Changes every attribute of `op` in turn and hands each result to `use`.
void each_change(const Operator& op, const std::function<void(const Operator&)>& use) {
  int count = 0;
  std::visit([&count](const auto& each) { for_each_field(each, [&count](auto...) { ++count; }); },
             op);
  struct Change {
    int at;
    void operator()(const char* name, int64_t& value) {
      const bool down = std::string(name) == "end";  // the end of a slice is the last channel
      if (at-- == 0) value += down ? -1 : 1;
    }
    void operator()(const char*, double& value) {
      if (at-- == 0) value *= 2.0;
    }
    void operator()(const char*, bool& value) {
      if (at-- == 0) value = !value;
    }
    void operator()(const char*, ActivationKind& value) {
      if (at-- == 0) value = ActivationKind::Swish;
    }
  };
  for (int i = 0; i < count; ++i) {
    Operator changed = op;
    std::visit([&](auto& each) { for_each_field(each, Change{i}); }, changed);
    use(changed);
  }
}

TEST_CASE("Digests change with every attribute of every operator") {
  Conv2d conv;
  conv.out_channels = 12;
  conv.kernel = 3;
  conv.padding = 1;
  conv.groups = 1;
  const std::vector<Operator> image_operators = {conv,
                                                 BatchNorm{},
                                                 Activation{},
                                                 ChannelSlice{2, 12},
                                                 ChannelShuffle{2},
                                                 MaxPool{3, 2, 1},
                                                 AveragePool{3, 2, 1},
                                                 Resize{4, 4}};
  int changes = 0;
  const auto compare = [&](const Operator& op, bool flat) {
    const auto build = [&](const Operator& each) {
      Network network;
      NodeId id = network.add_input("input", {1, 12, 9, 9});
      if (flat) id = network.add("flat", Flatten{}, {id});
      const bool sum = std::holds_alternative<Add>(each);
      network.add("node", each, sum ? std::vector<NodeId>{id, id} : std::vector<NodeId>{id});
      return network;
    };
    each_change(op, [&](const Operator& changed) {
      Operator valid = changed;
      if (auto* changed_conv = std::get_if<Conv2d>(&valid)) {
        changed_conv->out_channels *= changed_conv->groups;
      }
      if (auto* shuffle = std::get_if<ChannelShuffle>(&valid)) CHECK(shuffle->groups == 3);
      for (const DigestKind kind : kKinds) {
        CHECK(digest(build(op), kind) != digest(build(valid), kind));
      }
      ++changes;
    });
  };
  for (const Operator& op : image_operators) compare(op, false);
  compare(Add{}, false);
  compare(Linear{7}, true);
  CHECK(changes == 7 + 1 + 1 + 2 + 1 + 3 + 3 + 2 + 1 + 3);
}

TEST_CASE("Digests change with the operator, the order of inputs and the input's shape") {
  const auto with = [](const Operator& op, const Shape& shape, bool swapped) {
    Network network;
    const NodeId input = network.add_input("input", shape);
    const NodeId relu = network.add("relu", Activation{}, {input});
    const std::vector<NodeId> inputs = {swapped ? relu : input, swapped ? input : relu};
    network.add("join", op, inputs);
    return network;
  };
  const Shape shape = {1, 3, 6, 6};
  for (const DigestKind kind : kKinds) {
    const Digest base = digest(with(Concat{}, shape, false), kind);
    CHECK(base != digest(with(Concat{}, shape, true), kind));
    CHECK(base != digest(with(Concat{}, {1, 3, 6, 7}, false), kind));
    CHECK(digest(with(Add{}, shape, false), kind) != digest(with(Multiply{}, shape, false), kind));
  }
}

TEST_CASE("Computation knows which weights are read, Structure does not") {
  const auto with = [](const std::string& prefix) {
    Network network;
    Conv2d conv;
    conv.out_channels = 4;
    network.add("conv", conv, {network.add_input("input", {1, 3, 6, 6})}, prefix);
    return network;
  };
  CHECK(digest(with("a"), DigestKind::Computation) != digest(with("b"), DigestKind::Computation));
  CHECK(digest(with("a"), DigestKind::Structure) == digest(with("b"), DigestKind::Structure));
}

TEST_CASE("Networks share the digests of their common prefix and no others") {
  const auto with = [](ActivationKind kind) {
    Network network;
    NodeId id = network.add_input("input", {1, 3, 6, 6});
    Conv2d conv;
    conv.out_channels = 4;
    id = network.add("stem", conv, {id});
    id = network.add("relu", Activation{}, {id});
    id = network.add("second", conv, {id});
    id = network.add("act", Activation{kind}, {id});
    network.add("third", conv, {id});
    return network;
  };
  for (const DigestKind kind : kKinds) {
    const auto a = node_digests(with(ActivationKind::Relu), kind);
    const auto b = node_digests(with(ActivationKind::Swish), kind);
    for (size_t i = 0; i < 4; ++i) CHECK(a[i] == b[i]);
    for (size_t i = 4; i < 6; ++i) CHECK(a[i] != b[i]);
  }
}

TEST_CASE("Two equal branches with weights of their own are more work than one used twice") {
  Conv2d conv;
  conv.out_channels = 4;
  Network once;
  NodeId input = once.add_input("input", {1, 3, 6, 6});
  const NodeId only = once.add("only", conv, {input});
  once.add("sum", Add{}, {only, only});
  Network twice;
  input = twice.add_input("input", {1, 3, 6, 6});
  const NodeId left = twice.add("left", conv, {input});
  const NodeId right = twice.add("right", conv, {input});
  twice.add("sum", Add{}, {left, right});
  CHECK(digest(once, DigestKind::Structure) != digest(twice, DigestKind::Structure));
  CHECK(node_digests(once, DigestKind::Structure).back() ==
        node_digests(twice, DigestKind::Structure).back());
}

TEST_CASE("What the output does not need and what changes nothing is not in the digest") {
  Network plain;
  plain.add("relu", Activation{}, {plain.add_input("input", {1, 3, 6, 6})});
  Network more;
  const NodeId input = more.add_input("input", {1, 3, 6, 6});
  const NodeId same = more.add("same", Activation{ActivationKind::Identity}, {input});
  more.add("unused", Flatten{}, {input});
  more.add("relu", Activation{}, {same});
  for (const DigestKind kind : kKinds) CHECK(digest(plain, kind) == digest(more, kind));
}

TEST_CASE("structural_blocks knows equal blocks wherever they stand, and all of the work") {
  const auto chain = [](int64_t kernel) {
    Network network;
    NodeId last = network.add_input("input", {1, 4, 6, 6});
    Conv2d conv;
    conv.out_channels = 4;
    for (const std::string name : {"stage1.block0", "stage1.block1"}) {
      conv.kernel = name == "stage1.block1" ? kernel : 1;
      conv.padding = conv.kernel / 2;
      const NodeId inner = network.add(name + ".a.conv", conv, {last});
      last = network.add(name + ".add", Add{}, {inner, last});
    }
    const NodeId same = network.add("head.same", Activation{ActivationKind::Identity}, {last});
    const NodeId flat = network.add("head.flatten", Flatten{}, {same});
    network.add("unused", Flatten{}, {last});
    network.set_output(flat);
    return structural_blocks(network);
  };
  const std::vector<Block> equal = chain(1);
  REQUIRE(equal.size() == 3);
  CHECK(equal[0].name == "stage1.block0");
  CHECK(equal[1].name == "stage1.block1");
  CHECK(equal[2].name == "head");
  CHECK(equal[0].structure == equal[1].structure);
  CHECK(equal[0].macs == 4 * 4 * 36);
  CHECK(equal[2].macs == 0);
  const std::vector<Block> other = chain(3);
  CHECK(other[0].structure == equal[0].structure);
  CHECK(other[1].structure != equal[1].structure);
  CHECK(other[1].macs == 9 * 4 * 4 * 36);
  CHECK(other[2].structure == equal[2].structure);
}

TEST_CASE("block_network takes a block out as a network that does the same work") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 6, 6});
  Conv2d conv;
  conv.out_channels = 4;
  const NodeId first = network.add("stem.conv", conv, {input});
  const NodeId left = network.add("stage1.block0.left.conv", conv, {first});
  const NodeId sum = network.add("stage1.block0.add", Add{ActivationKind::Relu}, {left, first});
  const NodeId flat = network.add("head.flatten", Flatten{}, {sum});
  Linear linear;
  linear.out_features = 3;
  network.add("classifier.linear", linear, {flat});
  const std::vector<Block> blocks = structural_blocks(network);
  REQUIRE(blocks.size() == 4);
  for (const Block& block : blocks) {
    CAPTURE(block.name);
    const Network alone = block_network(network, block.name);
    const std::vector<Block> again = structural_blocks(alone);
    CHECK(again.back().name == block.name);
    CHECK(again.back().structure == block.structure);
    CHECK(again.back().macs == block.macs);
  }
  const Network residual = block_network(network, "stage1.block0");
  CHECK(residual.input_shape() == Shape{1, 4, 6, 6});
  CHECK(residual.nodes().size() == 3);
  CHECK(block_network(network, "classifier").input_shape() == Shape{1, 144, 1, 1});
  CHECK(block_network(network, "classifier").output_shape() == Shape{1, 3});
}

TEST_CASE("block_network refuses what is not one block between two tensors") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 6, 6});
  const NodeId a = network.add("a.relu", Activation{}, {input});
  const NodeId b = network.add("b.relu", Activation{}, {a});
  const NodeId both = network.add("both.add", Add{}, {a, b});
  const NodeId again = network.add("both.relu", Activation{ActivationKind::Sigmoid}, {both});
  network.add("end.add", Add{}, {both, again});
  const auto refusal = [&](const char* block) {
    return message_of<InvariantError>([&] { (void)block_network(network, block); });
  };
  CHECK(refusal("nowhere") == "block nowhere: no node, expected one");
  CHECK(refusal("input") == "block input: no node, expected one");
  CHECK(refusal("both") == "block both: reads two tensors, expected one");
  CHECK(refusal("end") == "block end: reads two tensors, expected one");
  Network forked;
  const NodeId source = forked.add_input("input", {1, 4, 6, 6});
  const NodeId x = forked.add("fork.x", Activation{}, {source});
  const NodeId y = forked.add("fork.y", Activation{ActivationKind::Sigmoid}, {source});
  forked.add("end.add", Add{}, {x, y});
  CHECK(message_of<InvariantError>([&] { (void)block_network(forked, "fork"); }) ==
        "block fork: gives two tensors, expected one");
}

TEST_CASE("Digests are the same on every machine and in every version") {
  Network network;
  Conv2d conv;
  conv.out_channels = 4;
  conv.kernel = 3;
  network.add("conv", conv, {network.add_input("input", {1, 3, 6, 6})});
  CHECK(digest(network, DigestKind::Computation).hex() == "d0b8a9a1066fcd3218867137850951af");
  CHECK(digest(network, DigestKind::Structure).hex() == "9ce940a0c5f7dc50df0be3356cd4f634");
}

TEST_CASE("A digest is written as 32 hexadecimal digits and read back") {
  const Digest value{{0x0123456789abcdefULL, 0xfedcba9876543210ULL}};
  CHECK(value.hex() == "0123456789abcdeffedcba9876543210");
  CHECK(Digest::from_hex(value.hex()) == value);
  for (const std::string& bad : {std::string(""), std::string(31, '0'), std::string(33, '0'),
                                 std::string(31, '0') + "g", std::string(31, '0') + "A"}) {
    CHECK(message_of<DataError>([&] { Digest::from_hex(bad); }) ==
          "digest = " + bad + ", expected 32 lower-case hexadecimal digits");
  }
}

}  // namespace
}  // namespace lathe::network
