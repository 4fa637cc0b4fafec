#pragma once

#include <vector>

#include "search/space/architecture.h"
#include "search/space/stage_variants.h"

namespace lathe::search {

/// Where the decisions of a staged space lie in its genotype. A decision with one option has no
/// gene. Order: resolution, stem, each stage (depth, width, then block by block), head. Immutable.
class GeneLayout {
 public:
  /// The gene's index, or kFixed.
  using Slot = int32_t;
  static constexpr Slot kFixed = -1;

  struct Block {
    Slot family = kFixed;
    std::vector<std::vector<Slot>> options;  ///< by family and option
  };
  struct Stage {
    Slot depth = kFixed;
    Slot width = kFixed;
    std::vector<Block> blocks;  ///< as many as the largest depth
  };

  explicit GeneLayout(const StagedSpec& spec);

  const std::vector<Gene>& genes() const { return genes_; }
  const std::vector<Stage>& stages() const { return stages_; }

  Slot resolution = kFixed;
  Slot stem_width = kFixed;
  Slot stem_kernel = kFixed;
  Slot stem_activation = kFixed;
  Slot head_width = kFixed;
  Slot head_hidden = kFixed;
  Slot head_activation = kFixed;

  /// The genes outside the stages and the stem's width: they combine freely with everything.
  const std::vector<Slot>& free_slots() const { return free_slots_; }

  static size_t get(const Architecture& architecture, Slot slot) {
    return slot == kFixed ? 0 : architecture.genes[static_cast<size_t>(slot)];
  }
  static void set(Architecture& architecture, Slot slot, size_t index) {
    if (slot != kFixed)
      architecture.genes[static_cast<size_t>(slot)] = static_cast<uint16_t>(index);
  }

  /// The variant that a block's genes choose, and back; genes of the other families become 0.
  static size_t variant(const StageVariants& variants, const Architecture& architecture,
                        const Block& block);
  static void set_variant(const StageVariants& variants, const Block& block, size_t variant,
                          Architecture& architecture);
  /// Sets the block's genes to 0.
  static void clear(const Block& block, Architecture& architecture);

 private:
  Slot add(const std::string& name, const Option& option);
  Slot add_free(const std::string& name, const Option& option);
  Block add_block(const std::string& name, const StageSpec& stage);

  std::vector<Gene> genes_;
  std::vector<Stage> stages_;
  std::vector<Slot> free_slots_;
};

}  // namespace lathe::search
