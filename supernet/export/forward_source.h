#pragma once

#include <map>
#include <string>

#include "network/network.h"

namespace lathe::supernet {

/// The body of a TorchScript module, as text that LibTorch compiles.
struct ForwardSource {
  /// "def forward(self, input: Tensor) -> Tensor: ...": one line a node, any batch size. It refuses
  /// an input of another shape.
  std::string text;
  /// The attribute of `self` that holds a parameter, by Parameter::name; parameters that the output
  /// does not need are not among them.
  std::map<std::string, std::string> parameters;
  /// The same for BatchNorm's mean and variance, which are not learned: buffers in PyTorch's terms.
  std::map<std::string, std::string> buffers;
};

/// Returns the TorchScript of a float network. Attributes are the parameters' names with '_' for
/// what cannot be in a name of Python. Pure; no LibTorch is needed.
ForwardSource forward_source(const network::Network& network);

}  // namespace lathe::supernet
