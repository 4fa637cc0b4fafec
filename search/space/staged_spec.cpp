#include "search/space/staged_spec.h"

#include <optional>

#include "search/space/stage_variants.h"

namespace lathe::search {
namespace {

/// Tables of a stage hold one entry a variant and pair of widths.
constexpr size_t kMaxTableEntries = 50000;

int64_t integer_at(const Option& option, size_t index) {
  return static_cast<int64_t>(option.values[index].number);
}

std::string where_text(const BlockContext& context, const BlockFamily& family) {
  return " (" + family.name() + " " + context.name + ", " + std::to_string(context.in_channels) +
         " channels to " + std::to_string(context.out_channels) + ", stride " +
         std::to_string(context.stride) + ")";
}

std::optional<StageFault> find_block_fault(const StageVariants& variants, size_t stage,
                                           const BlockContext& context) {
  for (size_t variant = 0; variant < variants.size(); ++variant) {
    const BlockFamily& family = variants.block_family(variant);
    const std::string expected = family.fault(context, variants.choices(variant));
    if (!expected.empty())
      return StageFault{stage, "width", expected + where_text(context, family)};
  }
  return std::nullopt;
}

std::optional<StageFault> find_stage_fault(const StagedSpec& spec, size_t stage) {
  const StageVariants variants(spec.stages[stage]);
  const size_t ins = spec.width_into(stage).values.size();
  const size_t outs = spec.stages[stage].width.values.size();
  if (variants.size() * (ins + 1) * outs > kMaxTableEntries) {
    return StageFault{stage, "block",
                      "at most " + std::to_string(kMaxTableEntries) +
                          " combinations of one block's options and widths; there are " +
                          std::to_string(variants.size() * (ins + 1) * outs)};
  }
  for (size_t out = 0; out < outs; ++out) {
    for (size_t in = 0; in < ins; ++in) {
      const BlockContext context = first_block_context(spec, stage, in, out);
      if (auto fault = find_block_fault(variants, stage, context)) return fault;
    }
    const Option& depth = spec.stages[stage].depth;
    if (integer_at(depth, depth.largest) < 2) continue;
    if (auto fault = find_block_fault(variants, stage, later_block_context(spec, stage, out))) {
      return fault;
    }
  }
  return std::nullopt;
}

}  // namespace

BlockContext first_block_context(const StagedSpec& spec, size_t stage, size_t in, size_t out) {
  BlockContext context;
  context.name = spec.stages[stage].name + ".block0";
  context.in_channels = integer_at(spec.width_into(stage), in);
  context.out_channels = integer_at(spec.stages[stage].width, out);
  context.stride = spec.stages[stage].stride;
  context.position = spec.stages[stage].first_position;
  return context;
}

BlockContext later_block_context(const StagedSpec& spec, size_t stage, size_t out) {
  BlockContext context;
  context.name = spec.stages[stage].name + ".block1";
  context.in_channels = integer_at(spec.stages[stage].width, out);
  context.out_channels = context.in_channels;
  context.position = 1;
  return context;
}

std::vector<StageFault> find_faults(const StagedSpec& spec) {
  std::vector<StageFault> faults;
  for (size_t stage = 0; stage < spec.stages.size(); ++stage) {
    if (auto fault = find_stage_fault(spec, stage)) faults.push_back(*fault);
  }
  return faults;
}

}  // namespace lathe::search
