#include "supernet/evaluate/shares.h"

#include <cstring>
#include <sstream>
#include <type_traits>

#include "core/error.h"
#include "network/cost.h"

namespace lathe::supernet {

std::string to_string(const WorkCall& call) {
  std::string text = std::to_string(call.batches.begin) + " " + std::to_string(call.batches.end) +
                     " " + std::to_string(call.in_parts ? 1 : 0);
  for (const auto& architecture : call.architectures) text += "\n" + architecture.to_string();
  return text;
}

WorkCall parse_work_call(const std::string& text) {
  WorkCall call;
  std::istringstream lines(text);
  std::string architecture;
  if (!(lines >> call.batches.begin >> call.batches.end >> call.in_parts)) {
    throw DataError("call for evaluation: " + text.substr(0, 40) +
                    ", expected the first and last batch and 0 or 1");
  }
  while (lines >> architecture) {
    call.architectures.push_back(search::Architecture::parse(architecture));
  }
  return call;
}

std::vector<size_t> share_ends(const std::vector<const network::Network*>& networks,
                               int processes) {
  std::vector<double> middles;  // of each network's multiply-adds, counted through the list
  double all = 0.0;
  for (const network::Network* network : networks) {
    const auto macs = static_cast<double>(network::cost(*network).macs);
    middles.push_back(all + 0.5 * macs);
    all += macs;
  }
  std::vector<size_t> ends;
  size_t next = 0;
  for (int process = 1; process < processes; ++process) {
    const double bound = all * process / processes;
    while (next < middles.size() && middles[next] < bound) ++next;
    ends.push_back(next);
  }
  ends.push_back(networks.size());
  return ends;
}

static_assert(std::is_trivially_copyable_v<search::AccuracyEstimate>);

std::string to_bytes(const std::vector<search::AccuracyEstimate>& estimates) {
  return {reinterpret_cast<const char*>(estimates.data()),
          estimates.size() * sizeof(search::AccuracyEstimate)};
}

std::vector<search::AccuracyEstimate> join_shares(const std::vector<std::string>& shares) {
  std::vector<search::AccuracyEstimate> all;
  for (const std::string& share : shares) {
    const size_t begin = all.size();
    all.resize(begin + share.size() / sizeof(search::AccuracyEstimate));
    if (!share.empty()) std::memcpy(&all[begin], share.data(), share.size());
  }
  return all;
}

}  // namespace lathe::supernet
