#include "supernet/train/channel_sorting.h"

#include <doctest/doctest.h>

#include "search/space/search_space.h"
#include "supernet/executor/executor.h"
#include "tests/supernet/seeded_tensor.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

std::unique_ptr<search::SearchSpace> space_of(const std::string& stages) {
  return search::read_search_space_text(
      "{name: s, input: {channels: 3, resolution: 12}, classes: 10, stem: {width: 16}, stages: [" +
          stages + "], head: {width: 32}}",
      "test");
}

at::Tensor run(const network::Network& network, const SharedWeights& weights, const at::Tensor& images) {
  at::NoGradGuard no_gradients;
  const Plan plan = make_plan(network);
  FrozenSlices slices(weights);
  TrainBatchNorm policy;
  return Executor(plan, slices, policy).run(images);
}

/// How far `values` lie from `expected`, as a share of the length of `expected`.
double relative_distance(const at::Tensor& values, const at::Tensor& expected) {
  return ((values - expected).norm() / expected.norm()).item<double>();
}

/// Whether the L1 norms of a 1x1 weight [out, in, 1, 1] along its inputs fall.
bool falls(const SharedWeights& weights, const std::string& name) {
  for (const SharedWeights::Entry& entry : weights.entries()) {
    if (entry.name != name) continue;
    const at::Tensor norms = weights.slice({name, entry.shape}).abs().sum({0, 2, 3});
    return (norms.narrow(0, 1, norms.numel() - 1) <= norms.narrow(0, 0, norms.numel() - 1))
        .all()
        .item<bool>();
  }
  FAIL("no tensor " << name);
  return false;
}

}  // namespace

TEST_CASE("Sorting puts important inner channels first and leaves the largest network's function") {
  const auto space = space_of(
      "{block: mbconv, depth: [1, 2], width: [16, 24], kernel: [3, 5], expand: [2, 4], stride: 2, "
      "squeeze_excite: [false, true]}, "
      "{block: residual_bottleneck, depth: 2, width: [32, 48], expand: [0.25, 0.5], stride: 2}, "
      "{block: shuffle_v2, depth: 2, width: 64, expand: [0.5, 1], stride: 1}");
  SharedWeights weights(space->covering(), 3, at::kCPU);
  weights.values().copy_(test::normal({weights.values().numel()}, 4, at::kFloat) * 0.2);
  const network::Network largest = space->lower(space->largest());
  const network::Network smallest = space->lower(space->smallest());
  const at::Tensor images = test::normal({8, 3, 12, 12}, 5, at::kFloat);
  const at::Tensor before = run(largest, weights, images);
  const at::Tensor small_before = run(smallest, weights, images);
  const std::string project = "stage1.block0.project.conv.weight";
  CHECK_FALSE(falls(weights, project));
  // Two mbconv blocks of 10 axes (expand 3, depthwise 3, gate 2 + 1, project 1) and 3 inside the gate,
  // two bottlenecks of two groups (4 axes each), two shuffle units' second branches (7 each).
  CHECK(sort_channels(largest, weights) == 2 * 13 + 2 * 8 + 2 * 7);
  CHECK(falls(weights, project));
  CHECK(falls(weights, "stage2.block1.project.conv.weight"));
  CHECK(falls(weights, "stage3.block0.second.project.conv.weight"));
  CHECK(relative_distance(run(largest, weights, images), before) < 1e-5);
  CHECK(relative_distance(run(smallest, weights, images), small_before) > 1e-2);
  const at::Tensor sorted = weights.values().clone();
  sort_channels(largest, weights);
  CHECK(weights.values().equal(sorted));
}

TEST_CASE("Channels that blocks share stay where they are") {
  const auto space = space_of("{block: separable, depth: 2, width: [16, 24], stride: 1}");
  SharedWeights weights(space->covering(), 3, at::kCPU);
  const at::Tensor before = weights.values().clone();
  CHECK(sort_channels(space->lower(space->largest()), weights) == 0);
  CHECK(weights.values().equal(before));
}
