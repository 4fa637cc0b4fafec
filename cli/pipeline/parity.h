#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/pipeline/network_result.h"
#include "network/network.h"
#include "supernet/supernet.h"

namespace lathe::cli {

/// Largest difference of logits that parity of float networks allows.
constexpr double kParityTolerance = 1e-4;
/// Least share of images on which int8 networks must agree: runtimes round sums in their own way,
/// which decides between two classes that are as good as equal.
constexpr double kLeastInt8Agreement = 0.99;

/// Runs `onnx` in ONNX Runtime on `images` and compares with the logits that `other` ("LibTorch",
/// an engine) gave.
/// \throws DataError naming `name` if a logit differs by more than kParityTolerance or a top-1
/// class differs (int8: if classes agree on less than kLeastInt8Agreement), or if ONNX Runtime
/// cannot be run (how to install it is in the message).
ParityResult check_parity(const std::string& name, const std::string& onnx,
                          latency::Precision precision, const std::string& other,
                          const network::Tensor& logits, const network::Tensor& images);

/// What an engine makes of the test split.
struct EngineTest {
  search::AccuracyEstimate accuracy;
  std::optional<ParityResult> parity;
};

/// Runs the int8 file `onnx` of the network `name` on every test image by `run` (images NCHW to
/// logits [N, classes]), in parts that fit into a message, and compares the first `check_images`
/// with ONNX Runtime. `runner` says who runs it, in errors. \throws DataError as check_parity.
EngineTest test_on_engine(const std::string& name, const std::string& onnx,
                          const std::string& runner,
                          const std::function<network::Tensor(const network::Tensor&)>& run,
                          supernet::TestSplit& test_split, int64_t check_images);

}  // namespace lathe::cli
