#include "cli/pipeline/block_strip.h"

#include <algorithm>
#include <string>
#include <variant>

#include "network/cost.h"

namespace lathe::cli {
namespace {

/// "stage2.block0.depthwise.conv" -> "stage2.block0"; "stem.conv" -> "stem".
std::string block_of(const std::string& node) {
  const size_t first = node.find('.');
  if (first == std::string::npos) return node;
  const size_t second = node.find('.', first + 1);
  if (node.compare(first + 1, 5, "block") != 0) return node.substr(0, first);
  return node.substr(0, second);
}

std::string stage_of(const std::string& block) { return block.substr(0, block.find('.')); }

struct Extent {
  report::Block block;
  int64_t in_channels = 0;
  int64_t in_resolution = 0;
  int64_t widest = 0;  ///< channels of any convolution inside
};

void include_node(const network::Network& network, const network::Node& node, Extent& extent) {
  report::Block& block = extent.block;
  const network::Shape& shape = node.shape;
  block.width = shape.at(1);
  if (shape.size() == 4 && shape[2] > 1) block.resolution = shape[2];
  if (const auto* conv = std::get_if<network::Conv2d>(&node.op)) {
    block.kernel = std::max(block.kernel, conv->kernel);
    const bool on_image = network.node(node.inputs[0]).shape.at(2) > 1;
    if (on_image) extent.widest = std::max(extent.widest, conv->out_channels);
    if (block.activation.empty() && conv->activation != network::ActivationKind::Identity) {
      block.activation = network::to_string(conv->activation);
    }
  }
  if (const auto* activation = std::get_if<network::Activation>(&node.op)) {
    if (block.activation.empty()) block.activation = network::to_string(activation->kind);
  }
  if (std::holds_alternative<network::Multiply>(node.op)) block.squeeze_excite = true;
}

}  // namespace

std::vector<report::Block> block_strip(const search::SearchSpace& space,
                                       const search::Architecture& architecture,
                                       const network::Network& network) {
  const std::vector<int64_t> macs = network::node_macs(network);
  const auto total = static_cast<double>(network::cost(network).macs);
  std::vector<Extent> extents;
  std::string current;
  for (const network::Node& node : network.nodes()) {
    if (std::holds_alternative<network::Input>(node.op)) continue;
    const std::string name = block_of(node.name);
    if (name != current) {
      current = name;
      const network::Shape& in = network.node(node.inputs.at(0)).shape;
      Extent extent;
      extent.block.stage = stage_of(name);
      extent.block.family = space.family(architecture, name);
      extent.in_channels = in.at(1);
      extent.in_resolution = in.size() == 4 ? in[2] : 1;
      extents.push_back(extent);
    }
    include_node(network, node, extents.back());
    extents.back().block.macs += macs.at(static_cast<size_t>(node.id));
  }
  std::vector<report::Block> blocks;
  for (Extent& extent : extents) {
    report::Block& block = extent.block;
    if (block.resolution == 0) block.resolution = 1;
    block.stride =
        std::max<int64_t>(1, (extent.in_resolution + block.resolution - 1) / block.resolution);
    if (block.family != "conv" && extent.widest > extent.in_channels &&
        extent.widest > block.width) {
      block.expand = static_cast<double>(extent.widest) / static_cast<double>(extent.in_channels);
    }
    block.macs_share = total > 0 ? static_cast<double>(block.macs) / total : 0.0;
    blocks.push_back(block);
  }
  return blocks;
}

}  // namespace lathe::cli
