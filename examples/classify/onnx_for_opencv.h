#pragma once

#include <string>
#include <string_view>

/// Returns an ONNX model that OpenCV reads as ONNX means it, with the same outputs:
/// - Clip, which is how relu6 is written, has its bounds as attributes, as it had until opset 10.
///   OpenCV 4.6 refuses bounds that are inputs.
/// - Behind every HardSigmoid comes a Relu, which changes nothing. OpenCV takes Mul(x,
///   HardSigmoid(y)) for a hard-swish of y without looking whether x is y, and so computes
///   squeeze-excite gates wrong.
/// \throws std::runtime_error if the bytes are no ONNX model, or if it is quantised: OpenCV does
/// not run it.
std::string onnx_for_opencv(std::string_view model);
