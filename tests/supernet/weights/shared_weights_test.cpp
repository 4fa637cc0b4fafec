#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "supernet/weights/shared_weights.h"
#include "tests/supernet/tiny_data.h"
#include "tests/supernet/seeded_tensor.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

/// One convolution on `in` channels with the shared tensor "w.weight", and batch norm "n".
network::Network layer(int64_t in, int64_t out, int64_t kernel) {
  network::Network network;
  network::Conv2d conv;
  conv.out_channels = out;
  conv.kernel = kernel;
  conv.padding = kernel / 2;
  const auto input = network.add_input("input", {1, in, 8, 8});
  network.add("n", network::BatchNorm{}, {network.add("w", conv, {input})});
  return network;
}

SharedWeights two_sizes() { return SharedWeights({layer(2, 3, 5), layer(4, 1, 3)}, 1, at::kCPU); }

}  // namespace

TEST_CASE("SharedWeights make each tensor as large as the largest slice, decayed ones first") {
  SharedWeights weights = two_sizes();
  REQUIRE(weights.entries().size() == 3);
  CHECK(weights.entries()[0].name == "w.weight");
  CHECK(weights.entries()[0].shape == network::Shape{3, 4, 5, 5});
  CHECK(weights.entries()[1].name == "n.beta");
  CHECK(weights.entries()[2].name == "n.gamma");
  CHECK(weights.decayed_count() == 300);
  CHECK(weights.values().numel() == 306);
  CHECK(weights.values().narrow(0, 300, 3).eq(0).all().item<bool>());
  CHECK(weights.values().narrow(0, 303, 3).eq(1).all().item<bool>());
}

TEST_CASE("A slice is leading along channels and centred along the kernel") {
  SharedWeights weights = two_sizes();
  weights.values().copy_(at::arange(306, at::kFloat));
  const at::Tensor whole = weights.values().narrow(0, 0, 300).view({3, 4, 5, 5});
  const at::Tensor slice = weights.slice({"w.weight", {2, 3, 3, 3}});
  for (int64_t o = 0; o < 2; ++o) {
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t y = 0; y < 3; ++y) {
        for (int64_t x = 0; x < 3; ++x) {
          CHECK(slice[o][i][y][x].item<float>() == whole[o][i][y + 1][x + 1].item<float>());
        }
      }
    }
  }
  weights.slice({"w.weight", {1, 1, 1, 1}})
      .fill_(-5.0);  // a view: writing reaches the shared tensor
  CHECK(whole[0][0][2][2].item<float>() == -5.0F);
}

TEST_CASE("SharedWeights name what does not fit") {
  SharedWeights weights = two_sizes();
  CHECK(message_of<InvariantError>([&] {
          weights.slice({"v.weight", {1}});
        }) == "shared tensor v.weight: there is none");
  CHECK(message_of<InvariantError>([&] {
          weights.slice({"w.weight", {4, 1, 3, 3}});
        }) == "shared tensor w.weight: slice = [4, 1, 3, 3], expected a part of [3, 4, 5, 5]");
  CHECK(message_of<InvariantError>([&] {
          weights.slice({"w.weight", {1, 1, 2, 2}});
        }) == "shared tensor w.weight: slice = [1, 1, 2, 2], expected a part of [3, 4, 5, 5]");
  CHECK(message_of<InvariantError>([&] {
          weights.slice({"n.gamma", {1, 1}});
        }) == "shared tensor n.gamma: slice = [1, 1], expected a part of [3]");
  CHECK(message_of<InvariantError>([&] { weights.load({}); }) ==
        "weights: tensor w.weight of shape [3, 4, 5, 5] is missing or has another shape");
}

TEST_CASE("Initial weights depend on the seed, the name and the shape only") {
  SharedWeights a({layer(2, 3, 3)}, 1, at::kCPU);
  SharedWeights again({layer(2, 3, 3)}, 1, at::kCPU);
  SharedWeights other({layer(2, 3, 3)}, 2, at::kCPU);
  CHECK(a.values().equal(again.values()));
  CHECK_FALSE(a.values().equal(other.values()));
  SharedWeights wide({layer(64, 128, 3)}, 1, at::kCPU);
  const double deviation = wide.values().narrow(0, 0, wide.decayed_count()).std().item<double>();
  CHECK(deviation == doctest::Approx(std::sqrt(2.0 / (128 * 9))).epsilon(0.02));  // He, by fan-out
}

TEST_CASE("Gradients of slices add up in the shared tensors as autograd through views would") {
  SharedWeights weights = two_sizes();
  at::Tensor reference = weights.values().clone().requires_grad_(true);
  TrainableSlices slices(weights);
  const network::Parameter small{"w.weight", {2, 3, 3, 3}};
  const network::Parameter large{"w.weight", {3, 4, 5, 5}};
  CHECK(slices.value(small).is_same(slices.value(small)));
  (slices.value(small).square().sum() + slices.value(small).sum() +
   slices.value(large).pow(3).sum())
      .backward();
  slices.add_gradients();
  const at::Tensor whole = reference.narrow(0, 0, 300).view({3, 4, 5, 5});
  const at::Tensor part = whole.narrow(0, 0, 2).narrow(1, 0, 3).narrow(2, 1, 3).narrow(3, 1, 3);
  (part.square().sum() + part.sum() + whole.pow(3).sum()).backward();
  CHECK((weights.gradients() - reference.grad()).abs().max().item<double>() < 1e-5);
  CHECK(weights.gradients().abs().sum().item<double>() > 0.0);
}

void check_that_every_slice_exists(const search::SearchSpace& space) {
  SharedWeights weights(space.covering(), 1, at::kCPU);
  Rng rng(4);
  for (int draw = 0; draw < 200; ++draw) {
    const network::Network network = space.lower(space.sample(rng));
    for (const network::Node& node : network.nodes()) {
      const size_t learned =
          std::holds_alternative<network::BatchNorm>(node.op) ? 2 : node.parameters.size();
      for (size_t p = 0; p < learned; ++p) {
        CHECK(weights.slice(node.parameters[p]).sizes() ==
              at::IntArrayRef(node.parameters[p].shape));
      }
    }
  }
}

TEST_CASE("SharedWeights over the covering networks hold every tensor that any architecture uses") {
  const test::TemporaryFolder folder;
  check_that_every_slice_exists(*test::tiny_space(folder.path()));
}

TEST_CASE("SharedWeights hold the tensors of every operator that a block may choose") {
  check_that_every_slice_exists(
      *search::read_search_space(LATHE_SOURCE_DIR "/configs/spaces/operators_32.yaml"));
}

TEST_CASE("Transformed kernels start as centres, one learned map for each tensor and size") {
  SharedWeights plain({layer(2, 3, 7)}, 1, at::kCPU);
  SharedWeights weights({layer(2, 3, 7)}, 1, at::kCPU, /*kernel_transform=*/true);
  REQUIRE(weights.entries().size() == 5);
  CHECK(weights.entries()[0].name == "w.weight");
  CHECK(weights.entries()[3].name == "w.weight.to3");
  CHECK(weights.entries()[3].shape == network::Shape{9, 9});
  CHECK(weights.entries()[4].name == "w.weight.to5");
  CHECK(weights.entries()[4].shape == network::Shape{25, 25});
  CHECK(weights.decayed_count() == plain.decayed_count());
  for (const int64_t kernel : {7, 5, 3, 1}) {
    const network::Parameter slice{"w.weight", {2, 1, kernel, kernel}};
    CHECK(FrozenSlices(weights).value(slice).equal(FrozenSlices(plain).value(slice)));
  }
}

TEST_CASE("A transformed kernel is the map of the map of the largest, and both maps learn") {
  SharedWeights weights({layer(2, 3, 7)}, 1, at::kCPU, /*kernel_transform=*/true);
  weights.values().copy_(test::normal({weights.values().numel()}, 5, at::kFloat) * 0.3);
  const at::Tensor full = weights.slice({"w.weight", {3, 2, 7, 7}});
  const at::Tensor to5 = weights.slice({"w.weight.to5", {25, 25}});
  const at::Tensor to3 = weights.slice({"w.weight.to3", {9, 9}});
  const network::Parameter slice{"w.weight", {3, 1, 3, 3}};
  at::Tensor expected = at::zeros({3, 1, 3, 3});
  for (int64_t o = 0; o < 3; ++o) {
    const at::Tensor centre5 = full[o][0].narrow(0, 1, 5).narrow(1, 1, 5).reshape({25});
    const at::Tensor kernel5 = at::mv(to5, centre5).view({5, 5});
    const at::Tensor centre3 = kernel5.narrow(0, 1, 3).narrow(1, 1, 3).reshape({9});
    expected[o][0].copy_(at::mv(to3, centre3).view({3, 3}));
  }
  CHECK(at::allclose(FrozenSlices(weights).value(slice), expected, 1e-4, 1e-5));
  TrainableSlices slices(weights);
  const at::Tensor value = slices.value(slice);
  CHECK(at::allclose(value, expected, 1e-4, 1e-5));
  const at::Tensor direction = test::normal(value.sizes(), 6, at::kFloat);
  backward((value * direction).sum());
  slices.add_gradients();
  // Directional derivatives by differences, along each shared tensor in turn.
  for (const SharedWeights::Entry& entry : weights.entries()) {
    const int64_t count = network::element_count(entry.shape);
    const at::Tensor gradient = weights.gradients().narrow(0, entry.offset, count);
    at::Tensor values = weights.values().narrow(0, entry.offset, count);
    const at::Tensor step = 3e-3 * test::normal({count}, 7, at::kFloat);
    const auto objective = [&] {
      return (FrozenSlices(weights).value(slice).to(at::kDouble) * direction).sum().item<double>();
    };
    const double before = objective();
    const at::Tensor kept = values.clone();
    values.add_(step);
    const double difference = objective() - before;
    values.copy_(kept);
    CAPTURE(entry.name);
    CHECK((gradient * step).sum().item<double>() == doctest::Approx(difference).epsilon(0.03));
  }
  CHECK(weights.gradient_slice({"w.weight.to3", {9, 9}}).abs().max().item<double>() > 0.01);
  CHECK(weights.gradient_slice({"w.weight", {1, 2, 7, 7}})[0][0][0].eq(0).all().item<bool>());
}

TEST_CASE("The gradients' norm is that of all leaves together") {
  SharedWeights weights({layer(1, 1, 3)}, 1, at::kCPU);
  TrainableSlices slices(weights);
  backward(3.0 * slices.value({"n.gamma", {1}}).sum() +
           slices.value({"w.weight", {1, 1, 3, 3}}).slice(2, 0, 1).sum() * (4.0 / std::sqrt(3.0)));
  CHECK(at::norm(slices.flat_gradients()).item<double>() == doctest::Approx(5.0));
}
