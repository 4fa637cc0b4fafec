#pragma once

#include <cstddef>
#include <cstdint>

/// What an input of the wire is taken for: its first byte, modulo WireInput::Count.
enum class WireInput : uint8_t {
  Plan,         ///< lathe.v1.MeasurementPlan, as the agent gets it
  Result,       ///< lathe.v1.LatencyResult, as the controller gets it
  Description,  ///< lathe.v1.DescribeResponse
  Failure,      ///< lathe.v1.JobFailure
  Worker,       ///< a stream of framed lathe.internal.WorkerEvents
  Discovery,    ///< a multicast DNS message
  Count,
};

/// Feeds one input to what reads it, as libFuzzer calls it. Returns 0 if it was read or refused; an
/// exception, or something accepted that cannot be used, ends the process.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
