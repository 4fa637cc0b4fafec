#pragma once

// How a population is divided among the processes of a group, and what they tell each other.

#include <string>
#include <vector>

#include "search/evaluation/evaluators.h"
#include "supernet/evaluate/recalibration.h"

namespace lathe::supernet {

/// Which networks rank 0 wants evaluated, in order, on which validation batches.
struct WorkCall {
  BatchSpan batches;
  bool in_parts = false;
  std::vector<search::Architecture> architectures;
};
std::string to_string(const WorkCall& call);
/// \throws DataError if `text` is not what to_string() writes.
WorkCall parse_work_call(const std::string& text);

/// Returns where the share of each of `processes` ends: neighbours stay together, and shares have
/// about equal multiply-adds. Depends on nothing else.
std::vector<size_t> share_ends(const std::vector<const network::Network*>& networks, int processes);

/// The estimates of one share as bytes, and those of all shares, by rank, in order.
std::string to_bytes(const std::vector<search::AccuracyEstimate>& estimates);
std::vector<search::AccuracyEstimate> join_shares(const std::vector<std::string>& shares);

}  // namespace lathe::supernet
