#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"

namespace lathe::search {

/// One decision of a search space: a named list of options, for example "stage2.depth" with {1, 2,
/// 3}.
struct Gene {
  std::string name;
  std::vector<std::string> options;  ///< as written in the space's file; at least one
};

/// One point of a search space: the index of the chosen option of every gene, in the space's gene
/// order. In canonical form genes that have no effect (blocks beyond a stage's depth) hold index 0,
/// so that equal architectures compare equal. Value type.
struct Architecture {
  std::vector<uint16_t> genes;

  bool operator==(const Architecture& other) const { return genes == other.genes; }
  bool operator!=(const Architecture& other) const { return genes != other.genes; }
  bool operator<(const Architecture& other) const { return genes < other.genes; }

  /// Returns the indices joined by '-': "0-2-1-0". Read back by parse().
  std::string to_string() const;
  /// \throws DataError if `text` is not a list of indices as written by to_string().
  static Architecture parse(const std::string& text);
};

struct ArchitectureHash {
  size_t operator()(const Architecture& architecture) const;
};

}  // namespace lathe::search
