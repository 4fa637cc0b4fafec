#include "device_agent/board/cores.h"

#include <doctest/doctest.h>
#include <sched.h>

#include <thread>

#include "core/error.h"
#include "tests/device_agent/board/recorded_boards.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

std::vector<int> affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

void bind_to(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<size_t>(core), &set);
  REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
}

/// Runs `body` in a thread of its own, whose cores may change.
template <typename Body>
void in_a_thread(Body body) {
  std::thread(body).join();
}

}  // namespace

TEST_CASE("the last of the fastest cores measures") {
  test::TemporaryFolder folder;
  record_big_little(folder.path());
  const BoardInfo board = read_board(folder.path());
  CHECK(measuring_core(board, {0, 1, 2, 3}) == 3);
  CHECK(measuring_core(board, {0, 1, 2}) == 2);
  CHECK(measuring_core(board, {0, 1}) == 1);
  CHECK(measuring_core(board, {7}) == 7);
  CHECK_THROWS_WITH_AS(measuring_core(board, {}),
                       "measuring_core: the list of usable cores is empty", InvariantError);
}

TEST_CASE("the agent keeps off the core that it measures on") {
  test::TemporaryFolder folder;
  const std::vector<int> all = affinity();
  if (all.size() < 2) return;
  in_a_thread([&] {
    const std::vector<int> cores = choose_cores(folder.path(), BoardInfo{}, all.front());
    CHECK(cores.back() == all.front());
    CHECK(cores.size() == all.size());
    CHECK(affinity() == std::vector<int>(all.begin() + 1, all.end()));
  });
  in_a_thread([&] {
    bind_to({all.front()});
    CHECK(choose_cores(folder.path(), BoardInfo{}, -1) == std::vector<int>{all.front()});
    CHECK(affinity() == std::vector<int>{all.front()});
    CHECK(test::message_of<ConfigError>(
              [&] { choose_cores(folder.path(), BoardInfo{}, all.back()); }) ==
          "--cpu = " + std::to_string(all.back()) + ", expected a core that this process may use");
  });
}

TEST_CASE("a core that the kernel keeps apart is the one to measure on") {
  test::TemporaryFolder folder;
  const std::vector<int> all = affinity();
  if (all.size() < 2) return;
  const int reserved = all.back();
  write(folder.path() / "sys/devices/system/cpu/isolated", std::to_string(reserved) + ",4000\n");
  in_a_thread([&] {
    bind_to({all.front()});  // as isolcpus leaves it
    CHECK(choose_cores(folder.path(), BoardInfo{}, -1) == std::vector<int>{all.front(), reserved});
    CHECK(affinity() == std::vector<int>{all.front()});
  });
  in_a_thread([&] {  // the user knows better
    bind_to({all.front()});
    CHECK(choose_cores(folder.path(), BoardInfo{}, all.front()) ==
          std::vector<int>{reserved, all.front()});
  });
}
