#pragma once

#include "supernet/torch_headers.h"

namespace lathe::supernet {

/// Rounds x to int8 at `scale` (a float tensor of shape [1]) and `zero_point`, and returns what the
/// integers stand for. Gradients pass straight through to the values that were not cut off, and to
/// the scale as in learned step size quantisation (Esser et al., 2020), its gradient divided by
/// sqrt(values an image * 255). x: [N, ...].
at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, int64_t zero_point);

/// Returns one scale a channel of `weight` [out, ...]: [out], its largest magnitude is 127 steps.
/// No gradients.
at::Tensor channel_scales(const at::Tensor& weight);

/// Rounds `weight` [out, ...] to [-127, 127] at `scales` [out]; gradients pass straight through.
at::Tensor fake_quantize_weight(const at::Tensor& weight, const at::Tensor& scales);

/// Returns the mean magnitude of every channel, [out]: the scale of binary weights (Rastegari et
/// al., XNOR-Net, 2016). No gradients.
at::Tensor binary_scales(const at::Tensor& weight);

/// Returns the sign of every weight (of zero: plus) times its channel's scale; gradients pass
/// straight through.
at::Tensor fake_binary_weight(const at::Tensor& weight, const at::Tensor& scales);

}  // namespace lathe::supernet
