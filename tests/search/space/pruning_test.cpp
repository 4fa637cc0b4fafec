// Networks of every ready space are pruned at random: exact, valid, readable.

#include <doctest/doctest.h>

#include <filesystem>

#include "network/cost.h"
#include "network/onnx.h"
#include "network/onnx_check.h"
#include "network/pruning/prune.h"
#include "tests/search/space/space_support.h"
#include "tests/support/forced_zero.h"

namespace lathe::search {
namespace {

std::vector<std::filesystem::path> ready_spaces() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(LATHE_SOURCE_DIR "/configs/spaces")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Sets to zero what makes the removed channels: filters, biases, and batch norm's shift and mean.
void zero_weights(network::Model& model, const std::vector<network::Channel>& removed) {
  const network::ChannelCoupling coupling(model.network);
  std::set<size_t> classes;
  for (const network::Channel& channel : removed) classes.insert(coupling.class_of(channel));
  for (const network::Node& node : model.network.nodes()) {
    const bool norm = std::holds_alternative<network::BatchNorm>(node.op);
    for (int64_t c = 0; c < node.shape[1]; ++c) {
      if (classes.count(coupling.class_of({node.id, c})) == 0) continue;
      for (size_t p = norm ? 1 : 0; p < (norm ? 3 : node.parameters.size()); ++p) {
        std::vector<float>& values = model.weights.at(node.parameters[p].name).values;
        const auto each = static_cast<int64_t>(values.size()) / node.shape[1];
        std::fill(values.begin() + c * each, values.begin() + (c + 1) * each, 0.0F);
      }
    }
  }
}

TEST_CASE("Pruned networks of every ready space compute what zeroed weights compute") {
  const Rng root(31);
  int compared = 0;
  for (const auto& file : ready_spaces()) {
    CAPTURE(file.filename().string());
    const auto space = read_search_space(file);
    for (uint64_t i = 0; i < 2; ++i) {
      Rng rng = root.derive(space->name(), i);
      const network::Network network = space->lower(space->sample_genes(rng));
      if (network::cost(network).macs > 200'000'000) continue;  // the reference executor is slow
      ++compared;
      network::Model model{network, test::trained_looking_weights(network, rng.derive("weights"))};
      const auto removed =
          test::random_removal(network::find_channel_groups(network), rng.derive("removed"));
      const network::Model pruned = network::prune(model, removed);
      zero_weights(model, removed);
      const network::Tensor input = test::random_tensor(network.input_shape(), rng.derive("input"));
      CHECK(test::relative_difference(network::run_reference(pruned, input),
                                      network::run_reference(model, input)) == 0.0);
    }
  }
  CHECK(compared >= 12);
}

TEST_CASE("Any removal from networks of every ready space is valid and survives ONNX") {
  const Rng root(32);
  for (const auto& file : ready_spaces()) {
    CAPTURE(file.filename().string());
    const auto space = read_search_space(file);
    for (uint64_t i = 0; i < 20; ++i) {
      Rng rng = root.derive(space->name(), i);
      const network::Network network = space->lower(space->sample_genes(rng));
      const auto groups = network::find_channel_groups(network);
      REQUIRE_FALSE(groups.empty());
      const auto removed = test::random_removal(groups, rng.derive("removed"));
      const network::Network pruned = network::prune(network, removed);
      CHECK(pruned.output_shape() == network.output_shape());
      CHECK(network::cost(pruned).params < network::cost(network).params);
      const std::string bytes = network::to_onnx_without_weights(pruned, i);
      CHECK(
          network::digest(network::import_onnx(bytes).network, network::DigestKind::Computation) ==
          network::digest(pruned, network::DigestKind::Computation));
      if (i > 0) continue;
      const network::Model whole{network, network::random_weights(network, i)};
      CHECK_NOTHROW(network::check_onnx(network::to_onnx(network::prune(whole, removed))));
    }
  }
}

TEST_CASE("ShuffleNet V1's grouped convolutions are pruned with equal groups") {
  const auto space = space_from(R"(
input: {channels: 3, resolution: 16}
classes: 5
stem: {width: 24, activation: relu}
stages: [{block: shuffle_v1, depth: 3, width: 96, expand: 0.5, groups: 4, stride: 2}]
)");
  const network::Network network = space->lower(space->largest());
  network::Model model{network, test::trained_looking_weights(network, Rng(1))};
  const Rng root(33);
  for (uint64_t i = 0; i < 10; ++i) {
    CAPTURE(i);
    const auto removed =
        test::random_removal(network::find_channel_groups(network), root.derive("v1", i));
    REQUIRE_FALSE(removed.empty());
    const network::Tensor input = test::random_tensor(network.input_shape(), root.derive("x", i));
    CHECK(test::relative_difference(network::run_reference(network::prune(model, removed), input),
                                    test::run_with_zeros(model, input, removed)) == 0.0);
  }
}

}  // namespace
}  // namespace lathe::search
