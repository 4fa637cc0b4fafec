#pragma once

#include <grpcpp/support/status.h>

#include "core/result.h"
#include "latency/fleet/agent_client.h"
#include "lathe/v1/device_agent.pb.h"

// Between the messages of lathe/v1 and lathe's own types. Only for .cpp files of this folder.

namespace lathe::latency::wire {

/// Translates a status that is not OK: what concerns the connection, the board or the lease becomes
/// Unavailable, Busy, Unauthorized or Cancelled. `where` names the agent and call.
Failure failure_of(const grpc::Status& status, const std::string& where);
/// Translates a job's typed failure; an unknown kind becomes Internal.
Failure failure_of(const v1::JobFailure& failure, const std::string& where);

AgentDescription description_of(const v1::DescribeResponse& response, const std::string& address);
/// Returns a Failure of kind Internal for a result that no honest agent sends (times that are not
/// positive).
Result<LatencyEstimate> estimate_of(const v1::LatencyResult& result, const std::string& where);

void fill(const JobOptions& options, v1::JobOptions& message);
void fill(const MeasurementPlan& plan, v1::MeasurementPlan& message);

}  // namespace lathe::latency::wire
