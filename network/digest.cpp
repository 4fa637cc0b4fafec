#include "network/digest.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "network/cost.h"
#include "network/operator_fields.h"
#include "network/passes.h"

namespace lathe::network {
namespace {

/// Absorbs 64-bit words into 128 bits by two multiply-xor-shift lanes that cross after every word.
/// The same on every machine. Not cryptographic: digests name computations, they do not
/// authenticate them.
class Hasher {
 public:
  void add(uint64_t word) {
    ++count_;
    low_ = mix(low_ ^ mix(word + kGolden * count_));
    high_ = mix(high_ + rotate(low_, 29) + word * kOdd);
  }
  void add(int64_t value) { add(static_cast<uint64_t>(value)); }
  void add(double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    add(bits);
  }
  void add(const std::string& text) {
    add(static_cast<uint64_t>(text.size()));
    for (size_t begin = 0; begin < text.size(); begin += 8) {
      uint64_t word = 0;
      for (size_t i = begin; i < std::min(begin + 8, text.size()); ++i) {
        word = word << 8 | static_cast<unsigned char>(text[i]);
      }
      add(word);
    }
  }
  void add(const Shape& shape) {
    add(static_cast<uint64_t>(shape.size()));
    for (const int64_t dimension : shape) add(dimension);
  }
  void add(const Digest& digest) {
    add(digest.words[0]);
    add(digest.words[1]);
  }
  void add(ActivationKind kind) { add(std::string(to_string(kind))); }

  Digest finish() const {
    return {{mix(high_ ^ mix(low_ + count_)), mix(low_ ^ rotate(high_, 17))}};
  }

 private:
  static constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  static constexpr uint64_t kOdd = 0xd6e8feb86659fd93ULL;

  static uint64_t rotate(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }
  static uint64_t mix(uint64_t word) {
    word = (word ^ word >> 32) * kOdd;
    word = (word ^ word >> 29) * 0xbf58476d1ce4e5b9ULL;
    return word ^ word >> 32;
  }

  uint64_t low_ = 0x6c61746865206e31ULL;
  uint64_t high_ = 0x243f6a8885a308d3ULL;
  uint64_t count_ = 0;
};

/// Adds one attribute. A float is what runs, so a double is compared as one.
struct FieldHash {
  Hasher& hasher;
  void operator()(const char*, int64_t value) const { hasher.add(value); }
  void operator()(const char*, bool value) const { hasher.add(int64_t{value}); }
  void operator()(const char*, ActivationKind kind) const { hasher.add(kind); }
  void operator()(const char*, double value) const {
    hasher.add(double{static_cast<float>(value)});
  }
};

/// An activation that changes nothing is no computation: its digest is its input's.
bool is_identity(const Node& node) {
  const auto* activation = std::get_if<Activation>(&node.op);
  return activation != nullptr && activation->kind == ActivationKind::Identity;
}

/// A node's digest, given its inputs'.
Digest node_digest(const Node& node, const std::vector<Digest>& inputs, DigestKind kind) {
  Hasher hasher;
  hasher.add(std::string(operator_name(node.op)));
  std::visit([&hasher](const auto& op) { for_each_field(op, FieldHash{hasher}); }, node.op);
  hasher.add(node.shape);
  for (const Parameter& parameter : node.parameters) {
    if (kind == DigestKind::Computation) hasher.add(parameter.name);
    hasher.add(parameter.shape);
  }
  hasher.add(static_cast<uint64_t>(inputs.size()));
  for (const Digest& input : inputs) hasher.add(input);
  return hasher.finish();
}

Digest shape_digest(const Shape& shape) {
  Hasher hasher;
  hasher.add(shape);
  return hasher.finish();
}

/// Adds all of `work` in an order that does not depend on the nodes'.
void add_sorted(std::vector<Digest> work, Hasher& hasher) {
  std::sort(work.begin(), work.end());
  for (const Digest& each : work) hasher.add(each);
}

/// "stage2.block0" of "stage2.block0.expand.conv", "head" of "head.conv".
std::string block_name(const std::string& node) {
  static const std::string kBlock = ".block";
  const size_t first = node.find('.');
  if (first == std::string::npos || node.compare(first, kBlock.size(), kBlock) != 0) {
    return node.substr(0, first);
  }
  return node.substr(0, node.find('.', first + 1));
}

}  // namespace

std::string Digest::hex() const {
  static const char* const kDigits = "0123456789abcdef";
  std::string text;
  for (const uint64_t word : words) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[word >> shift & 15];
  }
  return text;
}

Digest Digest::from_hex(const std::string& text) {
  Digest digest;
  bool good = text.size() == 32;
  for (size_t i = 0; good && i < text.size(); ++i) {
    const char c = text[i];
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    good = value >= 0;
    digest.words[i / 16] = digest.words[i / 16] << 4 | static_cast<uint64_t>(value & 15);
  }
  if (!good) throw DataError("digest = " + text + ", expected 32 lower-case hexadecimal digits");
  return digest;
}

std::vector<Digest> node_digests(const Network& network, DigestKind kind) {
  std::vector<Digest> digests;
  digests.reserve(network.nodes().size());
  for (const Node& node : network.nodes()) {
    if (is_identity(node)) {
      digests.push_back(digests[static_cast<size_t>(node.inputs[0])]);
      continue;
    }
    std::vector<Digest> inputs;
    for (const NodeId id : node.inputs) inputs.push_back(digests[static_cast<size_t>(id)]);
    digests.push_back(node_digest(node, inputs, kind));
  }
  return digests;
}

Digest digest(const Network& network, DigestKind kind) {
  const std::vector<Digest> digests = node_digests(network, kind);
  const Digest result = digests[static_cast<size_t>(network.output())];
  if (kind == DigestKind::Computation) return result;
  // Two equal branches with weights of their own are twice the work of one branch used twice, but
  // have the same Merkle digest when weights have no names: count every node that the output needs.
  const std::vector<bool> needed = needed_nodes(network);
  std::vector<Digest> work;
  for (size_t i = 0; i < digests.size(); ++i) {
    if (needed[i] && !is_identity(network.nodes()[i])) work.push_back(digests[i]);
  }
  Hasher hasher;
  hasher.add(result);
  add_sorted(std::move(work), hasher);
  return hasher.finish();
}

std::vector<Block> structural_blocks(const Network& network) {
  const std::vector<int64_t> macs = node_macs(network);
  const std::vector<bool> needed = needed_nodes(network);
  std::vector<Digest> digests;  // by node; what is outside of a node's block is known by its shape
  std::vector<std::string> names;
  std::vector<Block> blocks;
  std::vector<std::vector<Digest>> work;
  std::map<std::string, size_t> positions;
  for (size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    names.push_back(block_name(node.name));
    std::vector<Digest> inputs;
    for (const NodeId id : node.inputs) {
      const auto input = static_cast<size_t>(id);
      inputs.push_back(names[input] == names[i] ? digests[input]
                                                : shape_digest(network.nodes()[input].shape));
    }
    if (is_identity(node)) {
      digests.push_back(inputs[0]);
      continue;
    }
    digests.push_back(node_digest(node, inputs, DigestKind::Structure));
    if (!needed[i] || node.inputs.empty()) continue;
    const auto [found, is_new] = positions.emplace(names[i], blocks.size());
    if (is_new) {
      blocks.push_back({names[i], {}, 0});
      work.emplace_back();
    }
    blocks[found->second].macs += macs[i];
    work[found->second].push_back(digests[i]);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    Hasher hasher;
    add_sorted(std::move(work[i]), hasher);
    blocks[i].structure = hasher.finish();
  }
  return blocks;
}

namespace {

/// Adds what gives a tensor of `shape`: the input, flattened for one without pixels.
NodeId add_source(Network& network, const Shape& shape) {
  if (shape.size() == 4) return network.add_input("input", shape);
  const NodeId input = network.add_input("input", {shape[0], shape[1], 1, 1});
  return network.add("input.flatten", Flatten{}, {input});
}

}  // namespace

Network block_network(const Network& network, const std::string& block) {
  const std::vector<bool> needed = needed_nodes(network);
  const auto refuse = [&](const std::string& found) -> InvariantError {
    return InvariantError("block " + block + ": " + found + ", expected one");
  };
  Network alone;
  std::map<NodeId, NodeId> ids;  // of the whole network's nodes in the block's
  NodeId source = -1;            // what the block reads
  NodeId result = -1;            // what is read outside, or the network's output
  const auto give = [&](NodeId id) {
    if (result >= 0 && result != id) throw refuse("gives two tensors");
    result = id;
  };
  for (const Node& node : network.nodes()) {
    if (!needed[static_cast<size_t>(node.id)] || node.inputs.empty()) continue;
    const bool inside = block_name(node.name) == block;
    std::vector<NodeId> inputs;
    for (const NodeId id : node.inputs) {
      const bool from_inside = ids.count(id) != 0 && id != source;
      if (!inside) {
        if (from_inside) give(id);
        continue;
      }
      if (!from_inside && source != id) {
        if (source >= 0) throw refuse("reads two tensors");
        source = id;
        ids[id] = add_source(alone, network.node(id).shape);
      }
      inputs.push_back(ids.at(id));
    }
    if (!inside) continue;
    ids[node.id] = alone.add(node.name, node.op, inputs);
    if (node.id == network.output()) give(node.id);
  }
  if (result < 0) throw refuse("no node");
  alone.set_output(ids.at(result));
  return alone;
}

}  // namespace lathe::network
