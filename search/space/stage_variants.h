#pragma once

#include <cstdint>
#include <vector>

#include "search/space/staged_spec.h"

namespace lathe::search {

/// Numbers the choices of one block of a stage: family first, then that family's options with the
/// last varying fastest, so that variant order is the lexicographic order of the block's genes.
/// Immutable; a view of the stage, which must outlive it.
class StageVariants {
 public:
  explicit StageVariants(const StageSpec& stage);

  size_t size() const { return offsets_.back(); }
  size_t family(size_t variant) const;
  /// Returns the option indices of the variant within its family.
  std::vector<size_t> indices(size_t variant) const;
  size_t variant(size_t family, const std::vector<size_t>& indices) const;
  const BlockFamily& block_family(size_t variant) const {
    return *stage_->families[family(variant)];
  }
  Choices choices(size_t variant) const;
  /// The variant of a family whose every option is the largest, or the smallest.
  size_t largest(size_t family) const;
  size_t smallest(size_t family) const;

  network::NodeId lower(NetworkBuilder& builder, network::NodeId input, const BlockContext& context,
                        size_t variant) const;
  /// Returns the block alone on an image of 8 x 8.
  network::Network lower_alone(const BlockContext& context, size_t variant) const;

 private:
  const StageSpec* stage_;
  std::vector<size_t> offsets_;  ///< first variant of each family, and the total
};

/// Which variants of a block give the same network where it stands.
struct VariantTable {
  std::vector<uint32_t> canonical;  ///< by variant: the first variant that gives the same network
  std::vector<uint32_t> distinct;   ///< the canonical variants, increasing
};

VariantTable make_variant_table(const StageVariants& variants, const BlockContext& context);

}  // namespace lathe::search
