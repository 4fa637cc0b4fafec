#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::network {

/// A 128-bit identity of a computation. Value type, ordered and hashable.
struct Digest {
  std::array<uint64_t, 2> words{};
  bool operator==(const Digest& other) const { return words == other.words; }
  bool operator!=(const Digest& other) const { return words != other.words; }
  bool operator<(const Digest& other) const { return words < other.words; }
  std::string hex() const;  ///< 32 lower-case digits
  /// \throws DataError if `text` is not 32 hexadecimal digits.
  static Digest from_hex(const std::string& text);
};

struct DigestHash {
  size_t operator()(const Digest& digest) const { return static_cast<size_t>(digest.words[0]); }
};

enum class DigestKind {
  Computation,  ///< operators, attributes, shapes and *which* weight slices: equal means equal
                ///< outputs
  Structure,    ///< without weight names: equal means equal work, so equal latency
};

/// Returns every node's Merkle digest, indexed by NodeId: its operator, attributes, parameter
/// slices and its inputs' digests. Node names do not matter.
std::vector<Digest> node_digests(const Network& network, DigestKind kind);

/// Returns the digest of the network's output node.
Digest digest(const Network& network, DigestKind kind);

/// A block of a network: the nodes that share the beginning of their names ("stage2.block0" of
/// "stage2.block0.expand.conv", "head" of "head.conv").
struct Block {
  std::string name;
  Digest structure;  ///< equal: equal work, wherever in a network the block stands
  int64_t macs = 0;
};

/// Returns the blocks in order of their first nodes; the input is none.
std::vector<Block> structural_blocks(const Network& network);

/// Returns the block called `block` as a network of its own, on one input of the shape that the
/// block reads. \throws InvariantError if there is no such block, or it reads or gives more than
/// one tensor.
Network block_network(const Network& network, const std::string& block);

}  // namespace lathe::network
