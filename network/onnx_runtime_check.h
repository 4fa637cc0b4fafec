#pragma once

#include <string>

#include "network/network.h"

namespace lathe::network {

struct OnnxRuntimeOptions {
  double timeout_s = 120.0;
  std::string node = "node";  ///< the program, looked up in PATH
};

/// Returns the output of an ONNX model for `input` (float, batch first; any batch) computed by ONNX
/// Runtime in a process of its own: `node` with the npm package onnxruntime-node. The package is
/// looked for in the environment variable LATHE_NODE_MODULES if it is set; else in
/// tools/node_modules and build/tools/node_modules of the folders above the program; else where
/// node finds packages by itself. Thread-safe; host only. \throws DataError saying what is missing
/// and how to get it, or what ONNX Runtime refused, or that the time limit has passed.
Tensor run_with_onnx_runtime(const std::string& onnx_bytes, const Tensor& input,
                             const OnnxRuntimeOptions& options = {});

}  // namespace lathe::network
