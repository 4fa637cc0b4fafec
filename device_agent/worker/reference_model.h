#pragma once

#include <cstddef>

#include "network/network.h"

namespace lathe::device {

/// Returns the network that every candidate is timed beside: MobileNetV2-like, 96x96 pixels, about
/// 5 million multiply-accumulates, in deployed form with fixed random weights. Latencies are stored
/// relative to it: it must never change (a test pins its digest).
network::Model make_reference_model();

/// Returns a control network, the reference's opposite: many weights, about
/// latency::DriftVariance::kControlBytes[control], and few operations (fp32, 3x32x32 input). What
/// slows the way to memory slows it and leaves the reference alone.
network::Model make_control_model(size_t control);

}  // namespace lathe::device
