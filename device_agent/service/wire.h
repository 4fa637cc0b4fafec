#pragma once

#include "core/result.h"
#include "device_agent/board/board.h"
#include "device_agent/board/doctor.h"
#include "latency/measurement/latency_estimate.h"
#include "lathe/v1/device_agent.pb.h"

namespace lathe::device {

v1::LatencyResult to_wire(const latency::LatencyEstimate& estimate);
v1::Finding to_wire(const Finding& finding);
v1::JobFailure to_wire(const Failure& failure);
v1::Precision to_wire(latency::Precision precision);

/// Fields that are 0 take the default. Fails (Unsupported) naming the first field out of range.
Result<latency::MeasurementPlan> from_wire(const v1::MeasurementPlan& plan);
/// Unspecified is fp32.
Result<latency::Precision> from_wire(v1::Precision precision);

}  // namespace lathe::device
