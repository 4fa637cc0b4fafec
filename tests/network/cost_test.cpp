#include "network/cost.h"

#include <doctest/doctest.h>

#include <numeric>

#include "network/passes.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

Conv2d conv(int64_t out, int64_t kernel = 1, int64_t groups = 1, bool bias = false) {
  Conv2d op;
  op.out_channels = out;
  op.kernel = kernel;
  op.padding = kernel / 2;
  op.groups = groups;
  op.bias = bias;
  return op;
}

int64_t peak_floats(const Network& network) { return cost(network).peak_activation_bytes / 4; }

TEST_CASE("Multiply-accumulates and parameters of each operator are counted by hand") {
  Network network;
  NodeId id = network.add_input("input", {1, 4, 6, 5});
  id = network.add("conv", conv(8, 3, 1, true), {id});  // 6*5*8 outputs of 4*9
  id = network.add("depthwise", conv(8, 5, 8), {id});   // 6*5*8 outputs of 25
  id = network.add("norm", BatchNorm{}, {id});
  id = network.add("relu", Activation{}, {id});
  id = network.add("sum", Add{}, {id, id});
  id = network.add("pool", AveragePool{2, 2, 0}, {id});
  id = network.add("flat", Flatten{}, {id});  // 8 * 3 * 2
  network.add("linear", Linear{10}, {id});
  const std::vector<int64_t> expected = {0, 240 * 36, 240 * 25, 0, 0, 0, 0, 0, 480};
  CHECK(node_macs(network) == expected);
  const Cost total = cost(network);
  CHECK(total.macs == 240 * 36 + 240 * 25 + 480);
  CHECK(total.params == (8 * 36 + 8) + 8 * 25 + 16 + (480 + 10));
  // Stored after folding: the normalisation becomes a bias of the depthwise layer.
  CHECK(total.model_bytes == 4 * ((8 * 36 + 8) + (8 * 25 + 8) + (480 + 10)));
}

TEST_CASE("A normalisation that cannot be folded is stored with its statistics") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 6, 5});
  network.add("norm", BatchNorm{}, {input});
  CHECK(cost(network).params == 8);
  CHECK(cost(network).model_bytes == 4 * 16);
}

TEST_CASE("A slice of a tensor that two nodes share is learned once") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 3, 3});
  network.add("a", conv(4), {input}, "shared");
  network.add("b", conv(4), {1}, "shared");
  CHECK(cost(network).params == 16);
  CHECK(cost(network).macs == 2 * 9 * 16);
}

TEST_CASE("A chain holds two tensors at a time") {
  Network network;
  NodeId id = network.add_input("input", {1, 2, 4, 4});  // 32
  id = network.add("wide", conv(8), {id});               // 128: 160 live
  id = network.add("norm", BatchNorm{}, {id});           // in place
  id = network.add("relu", Activation{}, {id});          // in place
  network.add("narrow", conv(1), {id});                  // 16: 144 live
  CHECK(peak_floats(network) == 160);
}

TEST_CASE("A residual connection keeps its input alive over the branch") {
  Network network;
  const NodeId input = network.add_input("input", {1, 2, 4, 4});  // 32
  const NodeId wide = network.add("wide", conv(8), {input});      // 128
  const NodeId relu = network.add("relu", Activation{}, {wide});  // in place
  const NodeId narrow = network.add("narrow", conv(2), {relu});   // 32
  network.add("sum", Add{}, {narrow, input});                     // in place
  CHECK(peak_floats(network) == 32 + 128 + 32);
}

TEST_CASE("An operator does not run in place on what is read later") {
  Network network;
  const NodeId input = network.add_input("input", {1, 2, 4, 4});
  const NodeId relu = network.add("relu", Activation{}, {input});  // input is read again below
  network.add("sum", Add{}, {relu, input});
  CHECK(peak_floats(network) == 64);
  Network chain;
  chain.add("relu", Activation{}, {chain.add_input("input", {1, 2, 4, 4})});
  CHECK(peak_floats(chain) == 32);
}

TEST_CASE("A concatenation needs its inputs and its output at once") {
  Network network;
  const NodeId input = network.add_input("input", {1, 2, 4, 4});  // 32
  const NodeId left = network.add("left", conv(3), {input});      // 48: 80
  const NodeId right = network.add("right", conv(5), {input});    // 80: 160, then 128
  network.add("joined", Concat{}, {left, right});                 // 128: 256
  CHECK(peak_floats(network) == 256);
}

TEST_CASE("A tensor that is read twice by one node is counted once") {
  Network network;
  const NodeId input = network.add_input("input", {1, 2, 4, 4});
  network.add("joined", Concat{}, {input, input});
  CHECK(peak_floats(network) == 32 + 64);
}

TEST_CASE("The result lives to the end, and what nobody reads only at its node") {
  Network network;
  const NodeId input = network.add_input("input", {1, 1, 4, 4});  // 16
  const NodeId result = network.add("result", conv(1), {input});  // 16
  network.add("unused", conv(10), {input});                       // 160, and 32 live
  network.add("later", conv(2), {result});                        // 32 beside the result
  network.set_output(result);
  CHECK(peak_floats(network) == 16 + 16 + 160);
}

TEST_CASE("A squeeze-excite gate is multiplied in place") {
  Network network;
  const NodeId input = network.add_input("input", {1, 4, 4, 4});          // 64
  const NodeId pool = network.add("pool", GlobalAveragePool{}, {input});  // 4
  const NodeId mixed = network.add("mixed", conv(4), {pool});             // 4
  network.add("scaled", Multiply{}, {input, mixed});
  CHECK(peak_floats(network) == 64 + 4 + 4);
}

TEST_CASE("Costs of random networks agree with their nodes and survive deployment") {
  const Rng root(20);
  for (uint64_t i = 0; i < 100; ++i) {
    const Network network = test::random_network(root.derive("cost", i));
    const Cost total = cost(network);
    const std::vector<int64_t> macs = node_macs(network);
    CHECK(total.macs == std::accumulate(macs.begin(), macs.end(), int64_t{0}));
    const Cost used = cost(drop_unused(network));
    const Cost deployed = cost(deploy(network));
    CHECK(deployed.macs == used.macs);
    CHECK(deployed.model_bytes == used.model_bytes);
    int64_t largest = 0;
    for (const Node& node : network.nodes()) {
      largest = std::max(largest, 4 * element_count(node.shape));
    }
    CHECK(total.peak_activation_bytes >= largest);
  }
}

}  // namespace
}  // namespace lathe::network
