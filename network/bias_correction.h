#pragma once

#include <vector>

#include "network/network.h"

namespace lathe::network {

/// Returns by how much the mean output of every channel of a layer moved when it was quantised
/// [out], before its activation: a layer is linear, so the mean over images follows from the mean
/// of its inputs, [1, C, H, W] or [1, features], in the exact and in the rounded network. (Nagel et
/// al., 2019, the empirical form.) \pre `node` is a Conv2d or Linear of both models.
std::vector<double> mean_shift(const Node& node, const Weights& exact, const Tensor& exact_input,
                               const Weights& rounded, const Tensor& rounded_input);

/// Subtracts `shift` from the bias of a quantised layer and rounds it to its scale. Layers without
/// a bias are left alone.
void subtract_from_bias(Model& model, const Node& node, const std::vector<double>& shift);

}  // namespace lathe::network
