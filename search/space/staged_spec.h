#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "search/space/block_family.h"

namespace lathe::search {

/// Stem: kernel x kernel convolution with BN and activation, then optionally a 3x3 max pool of
/// stride 2.
struct StemSpec {
  Option width;
  Option kernel;
  Option activation;
  int64_t stride = 1;
  bool pool = false;
};

/// A run of blocks of one width; its first block has the stride.
struct StageSpec {
  std::string name;
  /// The operators that each block chooses from; a single one needs no gene.
  std::vector<const BlockFamily*> families;
  /// Each family's options in the order of BlockFamily::options().
  std::vector<std::vector<Option>> options;
  Option depth;
  Option width;
  int64_t stride = 1;
  int64_t first_position = 0;  ///< BlockContext::position of the first block
};

/// 1x1 convolution with BN and activation (absent: width 0), global average pool, hidden linear
/// layer with activation (absent: width 0), classifier.
struct HeadSpec {
  Option width;
  Option hidden;
  Option activation;
};

/// A staged space as read from a file.
struct StagedSpec {
  std::string name;
  int64_t channels = 3;
  int64_t classes = 10;
  Option resolution;
  StemSpec stem;
  std::vector<StageSpec> stages;
  HeadSpec head;
  double batch_norm_epsilon = 1e-5;

  /// The widths that reach stage `stage`: the stem's or the previous stage's.
  const Option& width_into(size_t stage) const {
    return stage == 0 ? stem.width : stages[stage - 1].width;
  }
};

/// What is wrong with one stage.
struct StageFault {
  size_t stage = 0;
  std::string key;
  std::string expected;
};

/// Checks that every block can be built for every combination of widths and options: at most one
/// fault a stage. A spec with faults makes no StagedSpace.
std::vector<StageFault> find_faults(const StagedSpec& spec);

/// Where the first block of `stage` stands with the given width indices, and where the others
/// stand.
BlockContext first_block_context(const StagedSpec& spec, size_t stage, size_t in, size_t out);
BlockContext later_block_context(const StagedSpec& spec, size_t stage, size_t out);

}  // namespace lathe::search
