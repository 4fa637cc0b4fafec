#include <doctest/doctest.h>

#include "supernet/executor/plan.h"

using namespace lathe;
using namespace lathe::supernet;
using network::ActivationKind;

namespace {

network::Conv2d conv(int64_t channels) {
  network::Conv2d op;
  op.out_channels = channels;
  return op;
}

/// input - stem - act - head(name) - pool.
network::Network two_layers(const std::string& head, int64_t channels) {
  network::Network network;
  const auto input = network.add_input("input", {1, 3, 4, 4});
  const auto stem = network.add("stem", conv(8), {input});
  const auto act = network.add("act", network::Activation{ActivationKind::Relu}, {stem});
  const auto last = network.add(head, conv(channels), {act});
  network.add("pool", network::GlobalAveragePool{}, {last});
  return network;
}

}  // namespace

TEST_CASE("make_plan joins an activation to the node before it") {
  const Plan plan = make_plan(two_layers("head", 2));
  REQUIRE(plan.steps.size() == 4);
  CHECK(plan.steps[1].name == "stem");
  CHECK(plan.steps[1].activation == ActivationKind::Relu);
  CHECK(plan.steps[2].inputs == std::vector<int>{1});
  CHECK(plan.results == std::vector<int>{3});
}

TEST_CASE("make_plan keeps an activation apart when its input has another use or is the result") {
  network::Network network;
  const auto input = network.add_input("input", {1, 3, 4, 4});
  const auto stem = network.add("stem", conv(3), {input});
  const auto act = network.add("act", network::Activation{ActivationKind::Relu}, {stem});
  network.add("sum", network::Add{}, {stem, act});
  const Plan plan = make_plan(network);
  CHECK(plan.steps.size() == 4);
  CHECK(plan.steps[1].activation == ActivationKind::Identity);
  CHECK(plan.steps[1].uses == 2);
}

TEST_CASE("make_plan keeps an activation after a convolution that carries one") {
  network::Network network;
  network::Conv2d carrying = conv(3);
  carrying.activation = ActivationKind::Swish;
  const auto input = network.add_input("input", {1, 3, 4, 4});
  const auto stem = network.add("stem", carrying, {input});
  network.add("act", network::Activation{ActivationKind::Relu}, {stem});
  const Plan plan = make_plan(network);
  REQUIRE(plan.steps.size() == 3);
  CHECK(plan.steps[1].activation == ActivationKind::Swish);
}

TEST_CASE("make_forest runs common prefixes once and equal networks once") {
  const network::Network a = two_layers("a", 2);
  const network::Network b = two_layers("b", 2);
  const Plan plan = make_forest({&a, &b, &a});
  // input, stem shared; head and pool of each of the two.
  CHECK(plan.steps.size() == 6);
  CHECK(plan.results[0] == plan.results[2]);
  CHECK(plan.results[0] != plan.results[1]);
}

TEST_CASE("make_forest tells slices of one tensor apart") {
  const network::Network narrow = two_layers("head", 2);
  const network::Network wide = two_layers("head", 3);
  CHECK(make_forest({&narrow, &wide}).steps.size() == 6);
}

TEST_CASE("Plan::peak_bytes counts what is alive in order") {
  // Per image in floats: input 48, stem 128, head 32, pool 2. Alive at the stem: 48 + 128.
  const network::Network a = two_layers("a", 2);
  CHECK(make_plan(a).peak_bytes(10) == 10 * 4 * (48 + 128));
  // In a forest the stem waits for the second head. Which is second depends on the digests: with the wide one last
  // its head (320) is alive beside the stem, with it first its pool (20) besides.
  const network::Network b = two_layers("b", 20);
  const int64_t peak = make_forest({&a, &b}).peak_bytes(1);
  CHECK((peak == 4 * (128 + 320) || peak == 4 * (128 + 320 + 20)));
}
