#include "search/space/stage_variants.h"

#include <algorithm>
#include <map>

#include "network/digest.h"

namespace lathe::search {

StageVariants::StageVariants(const StageSpec& stage) : stage_(&stage), offsets_{0} {
  for (const std::vector<Option>& options : stage.options) {
    size_t size = 1;
    for (const Option& option : options) size *= option.values.size();
    offsets_.push_back(offsets_.back() + size);
  }
}

size_t StageVariants::family(size_t variant) const {
  const auto next = std::upper_bound(offsets_.begin(), offsets_.end(), variant);
  return static_cast<size_t>(next - offsets_.begin()) - 1;
}

std::vector<size_t> StageVariants::indices(size_t variant) const {
  const size_t chosen = family(variant);
  const std::vector<Option>& options = stage_->options[chosen];
  size_t rest = variant - offsets_[chosen];
  std::vector<size_t> result(options.size());
  for (size_t o = options.size(); o-- > 0;) {
    result[o] = rest % options[o].values.size();
    rest /= options[o].values.size();
  }
  return result;
}

size_t StageVariants::variant(size_t family, const std::vector<size_t>& indices) const {
  const std::vector<Option>& options = stage_->options[family];
  size_t rest = 0;
  for (size_t o = 0; o < options.size(); ++o) rest = rest * options[o].values.size() + indices[o];
  return offsets_[family] + rest;
}

Choices StageVariants::choices(size_t variant) const {
  return {stage_->options[family(variant)], indices(variant)};
}

size_t StageVariants::largest(size_t family) const {
  std::vector<size_t> chosen;
  for (const Option& option : stage_->options[family]) chosen.push_back(option.largest);
  return variant(family, chosen);
}

size_t StageVariants::smallest(size_t family) const {
  std::vector<size_t> chosen;
  for (const Option& option : stage_->options[family]) chosen.push_back(option.smallest);
  return variant(family, chosen);
}

network::NodeId StageVariants::lower(NetworkBuilder& builder, network::NodeId input,
                                     const BlockContext& context, size_t variant) const {
  const BlockFamily& chosen = block_family(variant);
  if (stage_->families.size() == 1) return chosen.lower(builder, input, context, choices(variant));
  // Families do not share tensors: their names tell them apart.
  BlockContext named = context;
  named.name += "." + chosen.name();
  return chosen.lower(builder, input, named, choices(variant));
}

network::Network StageVariants::lower_alone(const BlockContext& context, size_t variant) const {
  constexpr int64_t kImage = 8;
  NetworkBuilder builder;
  const network::NodeId input = builder.input({1, context.in_channels, kImage, kImage});
  lower(builder, input, context, variant);
  return builder.take();
}

VariantTable make_variant_table(const StageVariants& variants, const BlockContext& context) {
  VariantTable table;
  std::map<network::Digest, uint32_t> first_with;
  for (uint32_t variant = 0; variant < variants.size(); ++variant) {
    const network::Network block = variants.lower_alone(context, variant);
    const network::Digest digest = network::digest(block, network::DigestKind::Computation);
    const auto [position, is_new] = first_with.emplace(digest, variant);
    table.canonical.push_back(position->second);
    if (is_new) table.distinct.push_back(variant);
  }
  return table;
}

}  // namespace lathe::search
