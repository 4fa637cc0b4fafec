#pragma once

#include <string>
#include <vector>

#include "core/rng.h"
#include "search/space/search_space.h"

namespace lathe::test {

/// A small search space that lowers in microseconds: genes "depth" (1..4) and, for each block,
/// "width" (4, 8, 12, 16) and "kernel" (1, 3). Blocks beyond the depth are inactive. 8 + 64 + 512 +
/// 4096 architectures.
class ToySpace : public search::SearchSpace {
 public:
  static constexpr int kBlocks = 4;

  ToySpace() {
    genes_.push_back({"depth", {"1", "2", "3", "4"}});
    for (int block = 0; block < kBlocks; ++block) {
      const std::string name = "block" + std::to_string(block);
      genes_.push_back({name + ".width", {"4", "8", "12", "16"}});
      genes_.push_back({name + ".kernel", {"1", "3"}});
    }
  }

  const std::string& name() const override { return name_; }
  const std::vector<search::Gene>& genes() const override { return genes_; }

  std::vector<bool> active(const search::Architecture& architecture) const override {
    std::vector<bool> result(genes_.size(), true);
    for (size_t gene = 1 + 2 * (size_t{architecture.genes[0]} + 1); gene < result.size(); ++gene) {
      result[gene] = false;
    }
    return result;
  }
  std::string count() const override { return "4680"; }

  search::Architecture sample(Rng& rng) const override {
    const size_t depth = rng.weighted({8, 64, 512, 4096});
    search::Architecture result{std::vector<uint16_t>(genes_.size(), 0)};
    result.genes[0] = static_cast<uint16_t>(depth);
    for (size_t gene = 1; gene < 1 + 2 * (depth + 1); ++gene) {
      result.genes[gene] = static_cast<uint16_t>(rng.below(genes_[gene].options.size()));
    }
    return result;
  }
  search::Architecture largest() const override { return {{3, 3, 1, 3, 1, 3, 1, 3, 1}}; }
  search::Architecture smallest() const override { return {{0, 0, 0, 0, 0, 0, 0, 0, 0}}; }

  network::Network lower(const search::Architecture& architecture) const override {
    validate(architecture);
    network::Network network;
    network::NodeId last = network.add_input("input", {1, 1, 8, 8});
    for (size_t block = 0; block <= architecture.genes[0]; ++block) {
      network::Conv2d conv;
      conv.out_channels = 4 * (int64_t{architecture.genes[1 + 2 * block]} + 1);
      conv.kernel = architecture.genes[2 + 2 * block] == 0 ? 1 : 3;
      conv.padding = conv.kernel / 2;
      last = network.add("block" + std::to_string(block), conv, {last});
    }
    last = network.add("pool", network::GlobalAveragePool{}, {last});
    last = network.add("flatten", network::Flatten{}, {last});
    network.add("head", network::Linear{10}, {last});
    return network;
  }
  std::string describe(const search::Architecture& architecture) const override {
    return architecture.to_string();
  }

 private:
  std::string name_ = "toy";
  std::vector<search::Gene> genes_;
};

}  // namespace lathe::test
