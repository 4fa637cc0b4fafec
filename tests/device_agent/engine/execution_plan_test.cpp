#include <doctest/doctest.h>

#include <algorithm>

#include "device_agent/engine/execution_plan.h"
#include "network/network.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::network;

namespace {

Conv2d pointwise(int64_t channels, ActivationKind activation = ActivationKind::Identity) {
  Conv2d op;
  op.out_channels = channels;
  op.activation = activation;
  return op;
}

int64_t count(const ExecutionPlan& plan, Kernel kernel) {
  return std::count_if(plan.steps.begin(), plan.steps.end(),
                       [&](const PlanStep& step) { return step.kernel == kernel; });
}

}  // namespace

TEST_CASE("a shuffle unit needs no copies: slices and concatenations are views") {
  Network net;
  const NodeId image = net.add_input("image", {1, 8, 4, 4});
  const NodeId stem = net.add("stem", pointwise(8, ActivationKind::Relu), {image});
  const NodeId left = net.add("left", ChannelSlice{0, 4}, {stem});
  const NodeId right = net.add("right", ChannelSlice{4, 8}, {stem});
  const NodeId a = net.add("a", pointwise(4, ActivationKind::Relu), {left});
  const NodeId b = net.add("b", pointwise(4, ActivationKind::Relu), {right});
  const NodeId joined = net.add("joined", Concat{}, {a, b});
  net.add("shuffled", ChannelShuffle{2}, {joined});
  const ExecutionPlan plan = make_execution_plan(net);
  REQUIRE(plan.steps.size() == 4);
  CHECK(count(plan, Kernel::Copy) == 0);
  CHECK(plan.steps[2].input.offset == 4);
  CHECK(plan.steps[2].input.stride == 8);
  CHECK(plan.steps[1].output.buffer == plan.steps[2].output.buffer);
  CHECK(plan.steps[2].output.offset == 4);
}

TEST_CASE("what is passed through unchanged is copied into the concatenation") {
  Network net;
  const NodeId image = net.add_input("image", {1, 4, 2, 2});
  const NodeId conv = net.add("conv", pointwise(4), {image});
  net.add("joined", Concat{}, {image, conv, conv});
  const ExecutionPlan plan = make_execution_plan(net);
  CHECK(count(plan, Kernel::Copy) == 2);  // the input, and conv's second appearance
}

TEST_CASE("an activation overwrites its input only if nobody else reads it") {
  for (const bool read_again : {false, true}) {
    Network net;
    const NodeId image = net.add_input("image", {1, 4, 2, 2});
    const NodeId conv = net.add("conv", pointwise(4), {image});
    const NodeId act = net.add("act", Activation{ActivationKind::HardSwish}, {conv});
    if (read_again) net.add("sum", Add{}, {act, conv});
    const ExecutionPlan plan = make_execution_plan(net);
    CHECK((plan.steps[1].input.buffer == plan.steps[1].output.buffer) != read_again);
  }
}

TEST_CASE("the input survives a run and the output survives the last step") {
  Network net;
  const NodeId image = net.add_input("image", {1, 4, 2, 2});
  const NodeId act = net.add("act", Activation{ActivationKind::Relu}, {image});
  net.add("conv", pointwise(4), {act});
  const ExecutionPlan plan = make_execution_plan(net);
  CHECK(plan.steps[0].input.buffer != plan.steps[0].output.buffer);
  const PlanBuffer& input = plan.buffers[static_cast<size_t>(plan.input.buffer)];
  CHECK(input.first_step == -1);
  CHECK(input.last_step == 2);
  CHECK(plan.buffers[static_cast<size_t>(plan.output.buffer)].last_step == 2);
}

TEST_CASE("nodes that the output does not need are not run") {
  Network net;
  const NodeId image = net.add_input("image", {1, 4, 2, 2});
  const NodeId wanted = net.add("wanted", pointwise(4), {image});
  net.add("unwanted", pointwise(9), {wanted});
  net.set_output(wanted);
  CHECK(make_execution_plan(net).steps.size() == 1);
}

TEST_CASE("an activation does not overwrite a concatenation that holds a tensor read later") {
  Network net;
  const NodeId image = net.add_input("image", {1, 4, 2, 2});
  const NodeId a = net.add("a", pointwise(4), {image});
  const NodeId b = net.add("b", pointwise(4), {image});
  const NodeId joined = net.add("joined", Concat{}, {a, b});
  const NodeId act = net.add("act", Activation{ActivationKind::Relu}, {joined});
  const NodeId again = net.add("again", pointwise(8), {a});
  net.add("sum", Add{}, {act, again});
  const ExecutionPlan plan = make_execution_plan(net);
  REQUIRE(plan.steps[2].kernel == Kernel::Clamp);
  CHECK(plan.steps[2].input.buffer != plan.steps[2].output.buffer);
}
