#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "search/space/search_space.h"

namespace lathe::search {

/// What a cell space is made of.
struct CellSpec {
  std::string name = "cells";
  int nodes = 4;  ///< of a cell, input and output included; node j reads every earlier node
  /// In the order of the genes' options. "none" and "skip_connect" are what they say;
  /// "nor_conv_KxK" is ReLU, convolution and BN; "avg_pool_KxK" is a pool.
  std::vector<std::string> operations = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                         "avg_pool_3x3"};
  // The network around the cells: stem, three stages of `cells` cells that halve the image and
  // double the width in between (a residual block), pool and classifier.
  int64_t cells = 5;
  int64_t width = 16;
  int64_t channels = 3;
  int64_t resolution = 32;
  int64_t classes = 10;
};

/// The space of NAS-Bench-201 (Dong and Yang, 2020): one operation a pair of nodes, the same cell
/// everywhere. Different genes may describe one network; canonical() maps them to one genotype, the
/// one with the smallest genes, by the benchmark's own rule (6,466 networks for its four nodes and
/// five operations). This space is for tables of known results: it counts its networks' costs but
/// does not lower them. Immutable.
class CellSpace : public SearchSpace {
 public:
  /// \throws ConfigError if there are more than a million genotypes, an operation is not known or
  /// stands twice.
  explicit CellSpace(const CellSpec& spec);

  const std::string& name() const override { return spec_.name; }
  const std::vector<Gene>& genes() const override { return genes_; }
  /// Every gene can have an effect by itself; canonical() knows more.
  std::vector<bool> active(const Architecture& architecture) const override;
  std::string count() const override { return std::to_string(distinct_.size()); }
  Architecture sample(Rng& rng) const override { return rng.choose(distinct_); }
  /// The heaviest operation (by kernel) everywhere.
  Architecture largest() const override;
  /// Only skips.
  Architecture smallest() const override;
  /// \throws InvariantError: a table's architectures have no networks.
  network::Network lower(const Architecture& architecture) const override;
  /// As parse_cell reads it: "|nor_conv_3x3~0|+|none~0|skip_connect~1|+...".
  std::string describe(const Architecture& architecture) const override;
  Architecture canonical(const Architecture& architecture) const override;

  /// Every distinct architecture, canonical, sorted.
  const std::vector<Architecture>& distinct() const { return distinct_; }
  /// \throws DataError if `text` is no cell of this space.
  Architecture parse_cell(const std::string& text) const;

  /// Multiply-accumulates of the whole network, every operation counted.
  int64_t macs(const Architecture& architecture) const;
  /// How often a cell does each operation on a way to its output, in the order of the operations
  /// ("none": 0); one more at the end: how often it adds two tensors.
  std::vector<int64_t> work(const Architecture& architecture) const;
  /// Multiply-accumulates of one edge with this operation, in all cells.
  int64_t operation_macs(size_t operation) const;
  /// Learned values of the whole network.
  int64_t params(const Architecture& architecture) const;

 private:
  uint64_t number_of(const Architecture& architecture) const;
  std::string normal_form(const Architecture& architecture) const;
  int64_t sum_cost(const Architecture& architecture, bool macs) const;

  CellSpec spec_;
  std::vector<Gene> genes_;
  std::vector<int64_t> kernels_;  ///< by operation; 0: no convolution
  size_t none_ = 0, skip_ = 0;    ///< their options; the number of operations if there is no such
  std::vector<Architecture> distinct_;
  std::vector<uint32_t> class_of_;  ///< index into distinct_ by number_of
};

}  // namespace lathe::search
