#pragma once

#include "device_agent/engine/execution_plan.h"
#include "device_agent/engine/xnnpack/operators.h"
#include "device_agent/engine/xnnpack/packing.h"

namespace lathe::device::xnn {

/// The images of one step.
struct StepImages {
  Image input;
  Image second;
  Image output;
};

/// Adds the operators of a step whose output, input or both are int8. \throws EngineError as in
/// operators.h.
void bind_int8(const PlanStep& step, const network::Node& node, const StepImages& images,
               WeightPacker& packer, BoundKernel& kernel);

}  // namespace lathe::device::xnn
