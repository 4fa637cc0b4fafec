#pragma once

#include <cstdint>
#include <string>

#include "network/network.h"

namespace lathe::study {

struct ResidualNetworkOptions {
  int64_t channels = 1;
  int64_t resolution = 28;
  int64_t classes = 10;
  int64_t width = 16;  ///< of the first stage; the second and third have twice and four times
  int64_t depth = 3;   ///< blocks a stage; 3 is ResNet-20
  int64_t stem_stride = 1;
};

/// Returns the residual network of He et al. (2016) for small images: a 3x3 convolution, three
/// stages of basic blocks, the second and third at half the resolution, and a linear layer. Where
/// the width changes the shortcut is a 1x1 convolution.
network::Network residual_network(const ResidualNetworkOptions& options);

/// Returns the text of the smallest space for the same images and classes: where networks are
/// trained by themselves images, training and evaluation come with a supernet all the same, whose
/// own weights nobody looks at.
std::string formal_space(const ResidualNetworkOptions& options);

}  // namespace lathe::study
