#pragma once

#include <cstdint>

#include "network/network.h"

namespace onnx {
class GraphProto;
}  // namespace onnx

namespace lathe::network {

/// Adds every float parameter once, in node order: with the values of `weights`, or (null) as
/// external data at `lathe:random?seed=seed`. Those that `quantization` (null: none) makes integers
/// are left out. \throws InvariantError if a parameter has two shapes.
void write_parameters(const Network& network, const Weights* weights, uint64_t seed,
                      const Quantization* quantization, onnx::GraphProto& graph);

}  // namespace lathe::network
