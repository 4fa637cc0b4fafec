#pragma once

#include "search/space/block_family.h"

// The families, one file each. A new one is declared here and listed in block_family.cpp.

namespace lathe::search {

/// Plain convolution, as in VGG and the full-convolution baseline of MobileNetV1.
const BlockFamily& conv_family();
/// Convolution with concatenated rectifiers, CReLU (Shang et al., 2016), as in PVANet.
const BlockFamily& conv_crelu_family();
/// The inverted residual of MobileNetV2 (Sandler et al., 2018), MobileNetV3 (Howard et al., 2019)
/// and EfficientNet (Tan and Le, 2019).
const BlockFamily& mbconv_family();
/// The basic block of ResNet (He et al., 2016): two convolutions.
const BlockFamily& residual_basic_family();
/// The bottleneck of ResNet: 1x1, 3x3, 1x1; the stride is on the 3x3 convolution.
const BlockFamily& residual_bottleneck_family();
/// The depthwise-separable convolution of MobileNetV1 (Howard et al., 2017).
const BlockFamily& separable_family();
/// The unit of ShuffleNet (Zhang et al., 2018): grouped 1x1 convolutions and a channel shuffle.
const BlockFamily& shuffle_v1_family();
/// The unit of ShuffleNetV2 (Ma et al., 2018): channel split, one branch of convolutions, shuffle.
const BlockFamily& shuffle_v2_family();

}  // namespace lathe::search
