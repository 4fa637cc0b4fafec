#pragma once

#include <string>
#include <utility>
#include <vector>

#include "network/quantize.h"

namespace lathe::network {

/// What equalize() did.
struct Equalization {
  std::vector<std::pair<std::string, std::string>> pairs;  ///< of layers whose weights it scaled
  std::vector<std::string> relu6_as_relu;  ///< layers whose relu6 never cut anything off
  std::vector<std::string> relu6_kept;     ///< layers that were left alone because it did
};

/// Cross-layer equalisation (Nagel et al., Data-free quantization through weight equalization and
/// bias correction, 2019): moves a factor for every channel between each two layers with nothing
/// but identity or relu between them, a depthwise one also, until the channel's weights have one
/// range in both. Outputs stay the same up to rounding; ranges of the tensors between change.
///
/// relu6 does not commute with scaling. Where `observed`, min-max ranges of calibration images, say
/// that a layer's output never reaches 6, it becomes relu; elsewhere the pair is left alone.
/// \pre `model` is in quantizable() form.
Equalization equalize(Model& model, const ValueRanges& observed);

}  // namespace lathe::network
