#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/network.h"

namespace lathe::study {

struct NamedNetwork {
  std::string name;
  network::Network network;
};

/// Published networks at small resolutions: about 0.2 to 20 ms on a desktop core.
std::vector<NamedNetwork> mixed_networks();

/// `count` inverted-residual networks whose multiply-accumulates grow evenly by 30 % from the first
/// to the last.
std::vector<NamedNetwork> close_networks(int count);

}  // namespace lathe::study
