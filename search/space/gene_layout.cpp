#include "search/space/gene_layout.h"

namespace lathe::search {

GeneLayout::GeneLayout(const StagedSpec& spec) {
  resolution = add_free("resolution", spec.resolution);
  stem_width = add("stem.width", spec.stem.width);
  stem_kernel = add_free("stem.kernel", spec.stem.kernel);
  stem_activation = add_free("stem.activation", spec.stem.activation);
  for (const StageSpec& stage : spec.stages) {
    Stage slots;
    slots.depth = add(stage.name + ".depth", stage.depth);
    slots.width = add(stage.name + ".width", stage.width);
    const auto blocks = static_cast<size_t>(stage.depth.values[stage.depth.largest].number);
    for (size_t b = 0; b < blocks; ++b) {
      slots.blocks.push_back(add_block(stage.name + ".block" + std::to_string(b), stage));
    }
    stages_.push_back(std::move(slots));
  }
  head_width = add_free("head.width", spec.head.width);
  head_hidden = add_free("head.hidden", spec.head.hidden);
  head_activation = add_free("head.activation", spec.head.activation);
}

GeneLayout::Slot GeneLayout::add(const std::string& name, const Option& option) {
  if (option.values.size() < 2) return kFixed;
  Gene gene{name, {}};
  for (const OptionValue& value : option.values) gene.options.push_back(value.text);
  genes_.push_back(std::move(gene));
  return static_cast<Slot>(genes_.size() - 1);
}

GeneLayout::Slot GeneLayout::add_free(const std::string& name, const Option& option) {
  const Slot slot = add(name, option);
  if (slot != kFixed) free_slots_.push_back(slot);
  return slot;
}

GeneLayout::Block GeneLayout::add_block(const std::string& name, const StageSpec& stage) {
  Block block;
  const bool many = stage.families.size() > 1;
  if (many) {
    Option families{"block", {}, 0, 0};
    for (const BlockFamily* family : stage.families)
      families.values.push_back({family->name(), 0.0});
    block.family = add(name + ".block", families);
  }
  for (size_t f = 0; f < stage.families.size(); ++f) {
    const std::string prefix = many ? name + "." + stage.families[f]->name() : name;
    std::vector<Slot> slots;
    for (const Option& option : stage.options[f])
      slots.push_back(add(prefix + "." + option.name, option));
    block.options.push_back(std::move(slots));
  }
  return block;
}

size_t GeneLayout::variant(const StageVariants& variants, const Architecture& architecture,
                           const Block& block) {
  const size_t family = get(architecture, block.family);
  std::vector<size_t> indices;
  for (const Slot slot : block.options[family]) indices.push_back(get(architecture, slot));
  return variants.variant(family, indices);
}

void GeneLayout::set_variant(const StageVariants& variants, const Block& block, size_t variant,
                             Architecture& architecture) {
  clear(block, architecture);
  const size_t family = variants.family(variant);
  const std::vector<size_t> indices = variants.indices(variant);
  set(architecture, block.family, family);
  for (size_t o = 0; o < indices.size(); ++o)
    set(architecture, block.options[family][o], indices[o]);
}

void GeneLayout::clear(const Block& block, Architecture& architecture) {
  set(architecture, block.family, 0);
  for (const std::vector<Slot>& slots : block.options) {
    for (const Slot slot : slots) set(architecture, slot, 0);
  }
}

}  // namespace lathe::search
