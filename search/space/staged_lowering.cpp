#include <algorithm>

#include "search/space/staged_space.h"

namespace lathe::search {
namespace {

using network::NodeId;

int64_t integer_at(const Option& option, size_t index) {
  return static_cast<int64_t>(option.values[index].number);
}

network::ActivationKind activation_at(const Option& option, size_t index) {
  return static_cast<network::ActivationKind>(static_cast<int>(option.values[index].number));
}

using Shapes = std::map<std::string, network::Shape>;

void enlarge(Shapes& shapes, const network::Network& network) {
  for (const network::Node& node : network.nodes()) {
    for (const network::Parameter& parameter : node.parameters) {
      network::Shape& full = shapes.emplace(parameter.name, parameter.shape).first->second;
      for (size_t d = 0; d < full.size(); ++d) full[d] = std::max(full[d], parameter.shape[d]);
    }
  }
}

bool contains(const Shapes& shapes, const network::Network& block) {
  for (const network::Node& node : block.nodes()) {
    for (const network::Parameter& parameter : node.parameters) {
      const auto full = shapes.find(parameter.name);
      if (full == shapes.end()) return false;
      for (size_t d = 0; d < parameter.shape.size(); ++d) {
        if (parameter.shape[d] > full->second[d]) return false;
      }
    }
  }
  return true;
}

}  // namespace

NodeId StagedSpace::lower_stem(NetworkBuilder& builder, NodeId input,
                               const Architecture& architecture) const {
  ConvOptions conv;
  conv.out_channels =
      integer_at(spec_.stem.width, GeneLayout::get(architecture, layout_.stem_width));
  conv.kernel = integer_at(spec_.stem.kernel, GeneLayout::get(architecture, layout_.stem_kernel));
  conv.stride = spec_.stem.stride;
  conv.activation =
      activation_at(spec_.stem.activation, GeneLayout::get(architecture, layout_.stem_activation));
  const NodeId x = builder.conv_bn_act("stem", input, conv);
  return spec_.stem.pool ? builder.node("stem.pool", network::MaxPool{3, 2, 1}, {x}) : x;
}

NodeId StagedSpace::lower_stage(NetworkBuilder& builder, NodeId input,
                                const Architecture& architecture, size_t stage) const {
  const GeneLayout::Stage& slots = layout_.stages()[stage];
  const size_t in = width_into(architecture, stage);
  const size_t out = GeneLayout::get(architecture, slots.width);
  const size_t depth = block_count(architecture, stage);
  NodeId x = input;
  for (size_t b = 0; b < depth; ++b) {
    BlockContext context = b == 0 ? first_block_context(spec_, stage, in, out)
                                  : later_block_context(spec_, stage, out);
    context.name = spec_.stages[stage].name + ".block" + std::to_string(b);
    const size_t variant = GeneLayout::variant(variants_[stage], architecture, slots.blocks[b]);
    x = variants_[stage].lower(builder, x, context, variant);
  }
  return x;
}

void StagedSpace::lower_head(NetworkBuilder& builder, NodeId input,
                             const Architecture& architecture) const {
  const HeadSpec& head = spec_.head;
  const network::ActivationKind activation =
      activation_at(head.activation, GeneLayout::get(architecture, layout_.head_activation));
  const int64_t width = integer_at(head.width, GeneLayout::get(architecture, layout_.head_width));
  const int64_t hidden =
      integer_at(head.hidden, GeneLayout::get(architecture, layout_.head_hidden));
  NodeId x = input;
  if (width > 0) x = builder.conv_bn_act("head", x, {width, 1, 1, 1, activation});
  x = builder.node("head.pool", network::GlobalAveragePool{}, {x});
  x = builder.node("head.flatten", network::Flatten{}, {x});
  if (hidden > 0) {
    x = builder.node("head.hidden", network::Linear{hidden, true}, {x});
    x = builder.activation("head.hidden.act", x, activation);
  }
  builder.node("classifier", network::Linear{spec_.classes, true}, {x});
}

network::Network StagedSpace::lower(const Architecture& architecture) const {
  validate(architecture);
  const int64_t resolution =
      integer_at(spec_.resolution, GeneLayout::get(architecture, layout_.resolution));
  NetworkBuilder builder(spec_.batch_norm_epsilon);
  NodeId x = builder.input({1, spec_.channels, resolution, resolution});
  x = lower_stem(builder, x, architecture);
  for (size_t s = 0; s < spec_.stages.size(); ++s) x = lower_stage(builder, x, architecture, s);
  lower_head(builder, x, architecture);
  return builder.take();
}

std::vector<network::Network> StagedSpace::covering() const {
  std::vector<network::Network> networks;
  Shapes shapes;
  const AddNetwork add = [&](const Architecture& architecture) {
    network::Network network = lower(architecture);
    if (contains(shapes, network)) return;
    enlarge(shapes, network);
    networks.push_back(std::move(network));
  };
  add(largest_);
  // The k-th family everywhere, so that a space of n families a block needs about n networks.
  size_t most_families = 1;
  for (const StageSpec& stage : spec_.stages) {
    most_families = std::max(most_families, stage.families.size());
  }
  for (size_t k = 0; most_families > 1 && k < most_families; ++k) {
    Architecture architecture = largest_;
    for (size_t s = 0; s < spec_.stages.size(); ++s) {
      const size_t family = k % spec_.stages[s].families.size();
      for (const GeneLayout::Block& block : layout_.stages()[s].blocks) {
        GeneLayout::set_variant(variants_[s], block, variants_[s].largest(family), architecture);
      }
    }
    add(architecture);
  }
  for (size_t s = 0; s < spec_.stages.size(); ++s) {
    cover_first_block(s, shapes, add);
    cover_later_blocks(s, shapes, add);
  }
  return networks;
}

void StagedSpace::cover_first_block(size_t stage, const Shapes& shapes,
                                    const AddNetwork& add) const {
  const GeneLayout::Stage& slots = layout_.stages()[stage];
  const GeneLayout::Slot into = stage == 0 ? layout_.stem_width : layout_.stages()[stage - 1].width;
  for (size_t in = spec_.width_into(stage).values.size(); in-- > 0;) {
    for (size_t out = spec_.stages[stage].width.values.size(); out-- > 0;) {
      const BlockContext context = first_block_context(spec_, stage, in, out);
      for (const uint32_t variant : tables_[stage].first[in][out].distinct) {
        if (contains(shapes, variants_[stage].lower_alone(context, variant))) continue;
        Architecture architecture = largest_;
        GeneLayout::set(architecture, into, in);
        GeneLayout::set(architecture, slots.width, out);
        GeneLayout::set_variant(variants_[stage], slots.blocks[0], variant, architecture);
        add(architecture);
      }
    }
  }
}

void StagedSpace::cover_later_blocks(size_t stage, const Shapes& shapes,
                                     const AddNetwork& add) const {
  const GeneLayout::Stage& slots = layout_.stages()[stage];
  for (size_t out = tables_[stage].later.size(); out-- > 0;) {
    const BlockContext context = later_block_context(spec_, stage, out);
    for (const uint32_t variant : tables_[stage].later[out].distinct) {
      if (contains(shapes, variants_[stage].lower_alone(context, variant))) continue;
      Architecture architecture = largest_;
      GeneLayout::set(architecture, slots.width, out);
      for (size_t b = 1; b < slots.blocks.size(); ++b) {
        GeneLayout::set_variant(variants_[stage], slots.blocks[b], variant, architecture);
      }
      add(architecture);
    }
  }
}

}  // namespace lathe::search
