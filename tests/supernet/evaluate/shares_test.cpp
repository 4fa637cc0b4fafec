#include "supernet/evaluate/shares.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "network/cost.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

/// A network of so many multiply-adds.
network::Network costing(int64_t macs) {
  network::Network network;
  network.add(
      "layer", network::Linear{macs, false},
      {network.add("flat", network::Flatten{}, {network.add_input("input", {1, 1, 1, 1})})});
  REQUIRE(network::cost(network).macs == macs);
  return network;
}

std::vector<size_t> ends(const std::vector<int64_t>& macs, int processes) {
  std::vector<network::Network> networks;
  for (const int64_t each : macs) networks.push_back(costing(each));
  std::vector<const network::Network*> pointers;
  for (const network::Network& network : networks) pointers.push_back(&network);
  return share_ends(pointers, processes);
}

}  // namespace

TEST_CASE("share_ends divides by multiply-adds, leaves nothing out and may leave a process idle") {
  CHECK(ends({5, 5, 5, 5}, 2) == std::vector<size_t>{2, 4});
  CHECK(ends({30, 5, 5, 5, 5}, 2) == std::vector<size_t>{1, 5});
  CHECK(ends({7, 7, 7}, 1) == std::vector<size_t>{3});
  CHECK(ends({1, 1, 1, 90, 1}, 3) == std::vector<size_t>{3, 4, 5});
  CHECK(ends({4}, 3) == std::vector<size_t>{0, 1, 1});
  CHECK(ends({}, 2) == std::vector<size_t>{0, 0});
}

TEST_CASE("A call for evaluation is read back as it was written") {
  WorkCall call;
  call.batches = {2, 7};
  call.in_parts = true;
  call.architectures = {{{0, 3, 1}}, {{2, 0, 12}}};
  const WorkCall read = parse_work_call(to_string(call));
  CHECK(read.batches.begin == 2);
  CHECK(read.batches.end == 7);
  CHECK(read.in_parts);
  CHECK(read.architectures == call.architectures);
  CHECK(test::message_of<DataError>([] { parse_work_call("1 x"); }) ==
        "call for evaluation: 1 x, expected the first and last batch and 0 or 1");
}

TEST_CASE("Shares are joined by rank") {
  const std::vector<search::AccuracyEstimate> first = {{0.5, 0.01, 10}, {0.25, 0.02, 20}};
  const std::vector<search::AccuracyEstimate> last = {{0.75, 0.03, 30}};
  const auto all = join_shares({to_bytes(first), to_bytes({}), to_bytes(last)});
  REQUIRE(all.size() == 3);
  CHECK(all[1].top1 == 0.25);
  CHECK(all[2].images == 30);
}
