#pragma once

#include <set>
#include <string>
#include <vector>

#include "supernet/compress/calibration.h"
#include "supernet/quantize_options.h"

namespace lathe::supernet {

/// Returns the names of the layers (Conv2d and Linear nodes), in order.
std::vector<std::string> layer_names(const network::Network& network);

/// Returns what each layer of `exact` (quantizable() form) loses when it alone is in int8: the
/// signal-to-noise ratio of the logits on the first `images` calibration images, in order.
std::vector<LayerSensitivity> layer_sensitivities(const network::Model& exact,
                                                  const network::ValueRanges& ranges,
                                                  const network::QuantizeOptions& options,
                                                  const CalibrationImages& calibration,
                                                  int64_t images, at::Device device);

}  // namespace lathe::supernet
