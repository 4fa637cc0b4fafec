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

/// MobileNetV2 1.0 at 224 x 224 with 1000 classes.
NamedNetwork mobilenet_v2_224();

/// `count` inverted-residual networks whose multiply-accumulates grow evenly by 30 % from the first
/// to the last.
std::vector<NamedNetwork> close_networks(int count);

}  // namespace lathe::study
