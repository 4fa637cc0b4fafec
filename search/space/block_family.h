#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "search/space/network_builder.h"
#include "search/space/option.h"

namespace lathe::search {

/// Where a block stands.
struct BlockContext {
  std::string name;  ///< prefix of node and parameter names: "stage2.block0"
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t stride = 1;
  int64_t position = 0;  ///< 0 for the first block of a stage, 1 for the others
};

/// A kind of block, for example MBConv: one lowering function and the options that it understands.
/// Immutable; concurrent use is safe.
///
/// Shared weights: nodes have the same names for every choice, so that a choice uses the leading
/// channels and the kernel centre of one shared tensor. Every choice of a size must therefore be
/// contained in the larger choice, dimension by dimension; inner widths never shrink as an option
/// or width grows.
class BlockFamily {
 public:
  virtual ~BlockFamily() = default;

  /// The name in a space's file: "mbconv".
  virtual const std::string& name() const = 0;
  /// The options in gene order.
  virtual const std::vector<OptionSpec>& options() const = 0;
  /// Returns what the context's channels are expected to be if the block cannot be built ("even
  /// widths"), else an empty text.
  virtual std::string fault(const BlockContext& context, const Choices& choices) const;
  /// Adds the block's nodes and returns the last, [N, out_channels, ceil(H / stride), ceil(W /
  /// stride)].
  virtual network::NodeId lower(NetworkBuilder& builder, network::NodeId input,
                                const BlockContext& context, const Choices& choices) const = 0;
  /// Returns the choices in short: "k3 e6 se".
  virtual std::string describe(const Choices& choices) const = 0;
};

/// Returns the names of all families in alphabetical order.
const std::vector<std::string>& block_family_names();
/// \throws InvariantError if there is none called `name`.
const BlockFamily& block_family(const std::string& name);

// Options that several families share.
OptionSpec kernel_option();
OptionSpec expand_option(const std::string& fallback);
OptionSpec squeeze_excite_option();
OptionSpec activation_option();

}  // namespace lathe::search
