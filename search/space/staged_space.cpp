#include "search/space/staged_space.h"

#include "network/cost.h"

namespace lathe::search {
namespace {

StagedSpec checked(StagedSpec spec) {
  if (spec.stages.empty())
    throw ConfigError("space " + spec.name + ": no stages, expected at least one");
  std::string message;
  for (const StageFault& fault : find_faults(spec)) {
    if (!message.empty()) message += '\n';
    message += "space " + spec.name + ": " + spec.stages[fault.stage].name + "." + fault.key +
               ": expected " + fault.expected;
  }
  if (!message.empty()) throw ConfigError(message);
  return spec;
}

std::vector<StageVariants> make_variants(const StagedSpec& spec) {
  std::vector<StageVariants> variants;
  for (const StageSpec& stage : spec.stages) variants.emplace_back(stage);
  return variants;
}

std::vector<StageTables> make_tables(const StagedSpec& spec,
                                     const std::vector<StageVariants>& variants) {
  std::vector<StageTables> tables(spec.stages.size());
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    const StageSpec& stage = spec.stages[s];
    const bool has_later = stage.depth.values[stage.depth.largest].number > 1;
    for (size_t in = 0; in < spec.width_into(s).values.size(); ++in) {
      std::vector<VariantTable> by_out;
      for (size_t out = 0; out < stage.width.values.size(); ++out) {
        by_out.push_back(make_variant_table(variants[s], first_block_context(spec, s, in, out)));
      }
      tables[s].first.push_back(std::move(by_out));
    }
    for (size_t out = 0; has_later && out < stage.width.values.size(); ++out) {
      tables[s].later.push_back(make_variant_table(variants[s], later_block_context(spec, s, out)));
    }
  }
  return tables;
}

size_t extreme_index(const Option& option, bool largest) {
  return largest ? option.largest : option.smallest;
}

}  // namespace

StagedSpace::StagedSpace(StagedSpec spec)
    : spec_(checked(std::move(spec))),
      layout_(spec_),
      variants_(make_variants(spec_)),
      tables_(make_tables(spec_, variants_)),
      count_(spec_, layout_, variants_, tables_),
      largest_(canonical(extreme(true))),
      smallest_(canonical(extreme(false))) {}

StagedSpace::~StagedSpace() = default;

size_t StagedSpace::block_count(const Architecture& architecture, size_t stage) const {
  const size_t index = GeneLayout::get(architecture, layout_.stages()[stage].depth);
  return static_cast<size_t>(spec_.stages[stage].depth.values[index].number);
}

size_t StagedSpace::width_into(const Architecture& architecture, size_t stage) const {
  return GeneLayout::get(architecture,
                         stage == 0 ? layout_.stem_width : layout_.stages()[stage - 1].width);
}

const VariantTable& StagedSpace::table(const Architecture& architecture, size_t stage,
                                       size_t block) const {
  const size_t out = GeneLayout::get(architecture, layout_.stages()[stage].width);
  if (block > 0) return tables_[stage].later[out];
  return tables_[stage].first[width_into(architecture, stage)][out];
}

Architecture StagedSpace::canonical(const Architecture& architecture) const {
  validate(architecture);
  Architecture result = architecture;
  for (size_t s = 0; s < spec_.stages.size(); ++s) {
    const std::vector<GeneLayout::Block>& blocks = layout_.stages()[s].blocks;
    const size_t depth = block_count(architecture, s);
    for (size_t b = 0; b < blocks.size(); ++b) {
      if (b >= depth) {
        GeneLayout::clear(blocks[b], result);
        continue;
      }
      const size_t variant = GeneLayout::variant(variants_[s], architecture, blocks[b]);
      const size_t first = table(architecture, s, b).canonical[variant];
      GeneLayout::set_variant(variants_[s], blocks[b], first, result);
    }
  }
  return result;
}

void StagedSpace::mark_active_block(const Architecture& architecture, size_t stage, size_t block,
                                    std::vector<bool>& active) const {
  const StageVariants& variants = variants_[stage];
  const GeneLayout::Block& slots = layout_.stages()[stage].blocks[block];
  const VariantTable& same = table(architecture, stage, block);
  const size_t variant = GeneLayout::variant(variants, architecture, slots);
  const size_t family = variants.family(variant);
  if (slots.family != GeneLayout::kFixed) active[static_cast<size_t>(slots.family)] = true;
  const std::vector<size_t> chosen = variants.indices(variant);
  for (size_t o = 0; o < chosen.size(); ++o) {
    const GeneLayout::Slot slot = slots.options[family][o];
    if (slot == GeneLayout::kFixed) continue;
    std::vector<size_t> other = chosen;
    const size_t size = spec_.stages[stage].options[family][o].values.size();
    for (size_t index = 0; index < size; ++index) {
      other[o] = index;
      const size_t changed = variants.variant(family, other);
      if (same.canonical[changed] != same.canonical[variant])
        active[static_cast<size_t>(slot)] = true;
    }
  }
}

std::vector<bool> StagedSpace::active(const Architecture& architecture) const {
  validate(architecture);
  std::vector<bool> active(genes().size(), false);
  const auto mark = [&active](GeneLayout::Slot slot) {
    if (slot != GeneLayout::kFixed) active[static_cast<size_t>(slot)] = true;
  };
  for (const GeneLayout::Slot slot : layout_.free_slots()) mark(slot);
  mark(layout_.stem_width);
  for (size_t s = 0; s < spec_.stages.size(); ++s) {
    mark(layout_.stages()[s].depth);
    mark(layout_.stages()[s].width);
    const size_t depth = block_count(architecture, s);
    for (size_t b = 0; b < depth; ++b) mark_active_block(architecture, s, b, active);
  }
  return active;
}

int64_t StagedSpace::stage_macs(size_t stage, size_t family, bool largest) const {
  const StageSpec& stage_spec = spec_.stages[stage];
  const StageVariants& variants = variants_[stage];
  const size_t variant = largest ? variants.largest(family) : variants.smallest(family);
  const size_t in = extreme_index(spec_.width_into(stage), largest);
  const size_t out = extreme_index(stage_spec.width, largest);
  const auto macs = [&variants, variant](const BlockContext& context) {
    return network::cost(variants.lower_alone(context, variant)).macs;
  };
  const auto depth = static_cast<int64_t>(
      stage_spec.depth.values[extreme_index(stage_spec.depth, largest)].number);
  const int64_t first = macs(first_block_context(spec_, stage, in, out));
  return depth == 1 ? first : first + (depth - 1) * macs(later_block_context(spec_, stage, out));
}

Architecture StagedSpace::extreme(bool largest) const {
  Architecture architecture;
  architecture.genes.assign(genes().size(), 0);
  const auto set = [&architecture, largest](GeneLayout::Slot slot, const Option& option) {
    GeneLayout::set(architecture, slot, extreme_index(option, largest));
  };
  set(layout_.resolution, spec_.resolution);
  set(layout_.stem_width, spec_.stem.width);
  set(layout_.stem_kernel, spec_.stem.kernel);
  set(layout_.stem_activation, spec_.stem.activation);
  set(layout_.head_width, spec_.head.width);
  set(layout_.head_hidden, spec_.head.hidden);
  set(layout_.head_activation, spec_.head.activation);
  for (size_t s = 0; s < spec_.stages.size(); ++s) {
    set(layout_.stages()[s].depth, spec_.stages[s].depth);
    set(layout_.stages()[s].width, spec_.stages[s].width);
    size_t chosen = 0;
    for (size_t family = 1; family < spec_.stages[s].families.size(); ++family) {
      const int64_t macs = stage_macs(s, family, largest);
      const int64_t best = stage_macs(s, chosen, largest);
      if (largest ? macs > best : macs < best) chosen = family;
    }
    const size_t variant = largest ? variants_[s].largest(chosen) : variants_[s].smallest(chosen);
    for (const GeneLayout::Block& block : layout_.stages()[s].blocks) {
      GeneLayout::set_variant(variants_[s], block, variant, architecture);
    }
  }
  return architecture;
}

std::string StagedSpace::describe_stage(const Architecture& architecture, size_t stage) const {
  const GeneLayout::Stage& slots = layout_.stages()[stage];
  const StageVariants& variants = variants_[stage];
  const size_t width = GeneLayout::get(architecture, slots.width);
  std::string text = spec_.stages[stage].name + " w" + spec_.stages[stage].width.values[width].text;
  const size_t depth = block_count(architecture, stage);
  for (size_t first = 0, next = 0; first < depth; first = next) {
    const size_t variant = GeneLayout::variant(variants, architecture, slots.blocks[first]);
    while (next < depth &&
           GeneLayout::variant(variants, architecture, slots.blocks[next]) == variant) {
      ++next;
    }
    const BlockFamily& family = variants.block_family(variant);
    text += (first == 0 ? ": " : ", ") + std::to_string(next - first) + "x " + family.name() + " " +
            family.describe(variants.choices(variant));
  }
  return text;
}

std::string StagedSpace::describe(const Architecture& architecture) const {
  const Architecture shown = canonical(architecture);
  const auto text = [&shown](GeneLayout::Slot slot, const Option& option) {
    return option.values[GeneLayout::get(shown, slot)].text;
  };
  std::string result = text(layout_.resolution, spec_.resolution) + "px | stem w" +
                       text(layout_.stem_width, spec_.stem.width) + " k" +
                       text(layout_.stem_kernel, spec_.stem.kernel) + " " +
                       text(layout_.stem_activation, spec_.stem.activation);
  for (size_t s = 0; s < spec_.stages.size(); ++s) result += " | " + describe_stage(shown, s);
  const std::string width = text(layout_.head_width, spec_.head.width);
  const std::string hidden = text(layout_.head_hidden, spec_.head.hidden);
  if (width == "0" && hidden == "0") return result;
  result += " | head";
  if (width != "0") result += " w" + width;
  if (hidden != "0") result += " hidden " + hidden;
  return result + " " + text(layout_.head_activation, spec_.head.activation);
}

std::string StagedSpace::family(const Architecture& architecture, const std::string& block) const {
  validate(architecture);
  for (size_t s = 0; s < spec_.stages.size(); ++s) {
    const size_t depth = block_count(architecture, s);
    for (size_t b = 0; b < depth; ++b) {
      if (block != spec_.stages[s].name + ".block" + std::to_string(b)) continue;
      const GeneLayout::Block& slots = layout_.stages()[s].blocks[b];
      const StageVariants& variants = variants_[s];
      return variants.block_family(GeneLayout::variant(variants, architecture, slots)).name();
    }
  }
  if (block == "classifier") return "linear";
  if (block == "stem" || block == "head") return "conv";
  throw InvariantError("space " + name() + ": architecture " + architecture.to_string() +
                       " has no block \"" + block + "\"");
}

StagedSpec StagedSpace::fixed(const Architecture& architecture) const {
  validate(architecture);
  const auto single = [&architecture](const Option& option, GeneLayout::Slot slot) {
    return Option{option.name, {option.values[GeneLayout::get(architecture, slot)]}, 0, 0};
  };
  StagedSpec fixed = spec_;
  fixed.resolution = single(spec_.resolution, layout_.resolution);
  fixed.stem.width = single(spec_.stem.width, layout_.stem_width);
  fixed.stem.kernel = single(spec_.stem.kernel, layout_.stem_kernel);
  fixed.stem.activation = single(spec_.stem.activation, layout_.stem_activation);
  fixed.head.width = single(spec_.head.width, layout_.head_width);
  fixed.head.hidden = single(spec_.head.hidden, layout_.head_hidden);
  fixed.head.activation = single(spec_.head.activation, layout_.head_activation);
  fixed.stages.clear();
  for (size_t s = 0; s < spec_.stages.size(); ++s) {
    const GeneLayout::Stage& slots = layout_.stages()[s];
    const size_t depth = block_count(architecture, s);
    for (size_t b = 0; b < depth; ++b) {
      const size_t variant = GeneLayout::variant(variants_[s], architecture, slots.blocks[b]);
      const size_t family = variants_[s].family(variant);
      const std::vector<size_t> indices = variants_[s].indices(variant);
      StageSpec block;
      block.name = spec_.stages[s].name + "_block" + std::to_string(b);
      block.families = {spec_.stages[s].families[family]};
      block.options.emplace_back();
      for (size_t o = 0; o < indices.size(); ++o) {
        const Option& option = spec_.stages[s].options[family][o];
        block.options[0].push_back({option.name, {option.values[indices[o]]}, 0, 0});
      }
      block.depth = {"depth", {{"1", 1.0}}, 0, 0};
      block.width = single(spec_.stages[s].width, slots.width);
      block.stride = b == 0 ? spec_.stages[s].stride : 1;
      block.first_position = b == 0 ? spec_.stages[s].first_position : 1;
      fixed.stages.push_back(std::move(block));
    }
  }
  return fixed;
}

}  // namespace lathe::search
