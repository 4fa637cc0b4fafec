#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "search/space/architecture_count.h"
#include "search/space/gene_layout.h"
#include "search/space/search_space.h"
#include "search/space/stage_variants.h"
#include "search/space/staged_spec.h"

namespace lathe::search {

/// Stem, stages of blocks, head: the space of MobileNets, ShuffleNets and ResNets. Immutable;
/// concurrent use is safe.
class StagedSpace final : public SearchSpace {
 public:
  /// \throws ConfigError with the faults if the spec has any.
  explicit StagedSpace(StagedSpec spec);
  ~StagedSpace() override;

  const std::string& name() const override { return spec_.name; }
  const std::vector<Gene>& genes() const override { return layout_.genes(); }
  std::vector<bool> active(const Architecture& architecture) const override;
  std::string count() const override { return count_.total(); }
  Architecture sample(Rng& rng) const override { return count_.sample(rng); }
  Architecture largest() const override { return largest_; }
  /// The families of a block are ordered by the multiply-accumulates of the stage that they give.
  Architecture smallest() const override { return smallest_; }
  network::Network lower(const Architecture& architecture) const override;
  std::vector<network::Network> covering() const override;
  std::string describe(const Architecture& architecture) const override;
  std::string family(const Architecture& architecture, const std::string& block) const override;
  /// Different options can round to one width: the first such option stands for all.
  Architecture canonical(const Architecture& architecture) const override;

  const StagedSpec& spec() const { return spec_; }
  /// Returns how many blocks the architecture has in `stage`.
  size_t block_count(const Architecture& architecture, size_t stage) const;
  /// Returns a space that holds `architecture` alone, each block in a stage of its own
  /// ("stage1_block0").
  StagedSpec fixed(const Architecture& architecture) const;
  /// Returns the architecture numbered `index` of count(). \throws InvariantError if there are not
  /// so many.
  Architecture at(uint64_t index) const { return count_.at(index); }

 private:
  /// The index of the width that enters `stage`.
  size_t width_into(const Architecture& architecture, size_t stage) const;
  const VariantTable& table(const Architecture& architecture, size_t stage, size_t block) const;
  void mark_active_block(const Architecture& architecture, size_t stage, size_t block,
                         std::vector<bool>& active) const;
  Architecture extreme(bool largest) const;
  int64_t stage_macs(size_t stage, size_t family, bool largest) const;
  network::NodeId lower_stage(NetworkBuilder& builder, network::NodeId input,
                              const Architecture& architecture, size_t stage) const;
  network::NodeId lower_stem(NetworkBuilder& builder, network::NodeId input,
                             const Architecture& architecture) const;
  void lower_head(NetworkBuilder& builder, network::NodeId input,
                  const Architecture& architecture) const;
  using Shapes = std::map<std::string, network::Shape>;
  using AddNetwork = std::function<void(const Architecture&)>;
  /// Add networks for the tensors of a stage's blocks that `shapes` does not hold yet.
  void cover_first_block(size_t stage, const Shapes& shapes, const AddNetwork& add) const;
  void cover_later_blocks(size_t stage, const Shapes& shapes, const AddNetwork& add) const;
  std::string describe_stage(const Architecture& architecture, size_t stage) const;

  StagedSpec spec_;
  GeneLayout layout_;
  std::vector<StageVariants> variants_;
  std::vector<StageTables> tables_;
  ArchitectureCount count_;
  Architecture largest_;
  Architecture smallest_;
};

}  // namespace lathe::search
