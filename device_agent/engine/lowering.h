#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "device_agent/engine/execution_plan.h"
#include "network/network.h"

namespace lathe::device {

/// A tensor before it has a place. Index into LoweredNetwork::tensors.
struct SymbolicTensor {
  int64_t height = 1;
  int64_t width = 1;
  int64_t channels = 0;
  Element element = Element::Float;
  network::TensorScale scale;  ///< of int8 elements
  int uses = 0;                ///< steps and aliases that read it, and one for the network's output
  bool fixed = false;          ///< the network's input: never overwritten
  bool needs_dense = false;    ///< a reader takes no stride
  bool strided_writer = false;  ///< its producer can write with a stride
  int base = -1;  ///< alias: another name for channels of this tensor, from base_offset
  int64_t base_offset = 0;
  bool flattened = false;  ///< alias that reads the whole base as one pixel
  int home = -1;  ///< placed inside this tensor (a concatenation, or the output that overwrites it)
  int64_t home_offset = 0;
  bool holds_shared = false;  ///< a tensor placed inside has other readers: must not be overwritten
  int64_t flattened_pixels = 1;  ///< see PlanStep
  int64_t pixels() const { return height * width; }
};

/// A kernel call on symbolic tensors.
struct SymbolicStep {
  Kernel kernel = Kernel::Copy;
  network::NodeId node = 0;
  int input = -1;
  int second = -1;
  int output = -1;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  network::ActivationKind function = network::ActivationKind::Identity;  ///< see PlanStep
  bool joins = false;  ///< a copy into a concatenation: dropped if the input can be placed there
};

struct LoweredNetwork {
  std::vector<SymbolicTensor> tensors;
  std::vector<SymbolicStep> steps;
  int input = -1;
  int output = -1;
};

/// Expands every node that the output needs into kernel calls; slices, flattenings and
/// concatenations become aliases. `quantization` makes the tensors int8, or is null: they are of
/// `floats` then.
LoweredNetwork lower_to_kernels(const network::Network& network,
                                const network::Quantization* quantization, Element floats);

}  // namespace lathe::device
