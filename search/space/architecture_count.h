#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "search/space/gene_layout.h"
#include "search/space/stage_variants.h"

namespace lathe::search {

/// The distinct blocks of one stage where they may stand.
struct StageTables {
  std::vector<std::vector<VariantTable>> first;  ///< of block 0, by width in and width out
  std::vector<VariantTable> later;               ///< of the other blocks, by width out
};

/// Exact arithmetic over the distinct architectures of a staged space: how many there are and which
/// is the i-th. By dynamic programming over the stages with the width as the state, in integers of
/// any size. Immutable; a view of its arguments, which must outlive it.
class ArchitectureCount {
 public:
  ArchitectureCount(const StagedSpec& spec, const GeneLayout& layout,
                    const std::vector<StageVariants>& variants,
                    const std::vector<StageTables>& tables);
  ~ArchitectureCount();

  /// Returns the number of distinct architectures as decimal digits.
  std::string total() const;
  /// Draws uniformly; every result is canonical.
  Architecture sample(Rng& rng) const;
  /// Returns the architecture numbered `index`: each canonical one has exactly one number.
  /// \throws InvariantError if there are not so many.
  Architecture at(uint64_t index) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lathe::search
