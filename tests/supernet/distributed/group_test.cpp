#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <sstream>

#include "core/file.h"
#include "tests/supernet/distributed/processes.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using test::Processes;
using test::within;

namespace {

constexpr double kPatienceS = 60.0;
constexpr double kPromiseS = 30.0;  ///< a process that dies makes the others stop within it
constexpr int kPeerError = 7;       ///< the exit code of supernet_rank

struct Group {
  Group(const std::string& role, int size, const std::vector<std::string>& environment = {})
      : processes(test::start_group(
            size,
            [&](int rank) {
              return std::vector<std::string>{LATHE_BINARY_DIR "/bin/supernet_rank", role,
                                              file(rank)};
            },
            environment)) {}
  std::string file(int rank) const { return (folder.path() / std::to_string(rank)).string(); }
  /// What the process wrote; it must have ended well.
  std::string result(int rank) {
    INFO(output(rank));
    CHECK(wait(rank) == 0);
    return read_file(file(rank));
  }
  int wait(int rank) { return processes[static_cast<size_t>(rank)]->wait(); }
  std::string output(int rank) const { return processes[static_cast<size_t>(rank)]->output(); }
  bool exists(int rank) const { return std::filesystem::exists(file(rank)); }
  /// Waits for the end of a process as long as lathe promises at most.
  bool ends(int rank) {
    return within(kPromiseS, [&] { return processes[static_cast<size_t>(rank)]->ended(); });
  }

  test::TemporaryFolder folder;
  Processes processes;
};

std::vector<double> numbers(const std::string& text) {
  std::istringstream lines(text);
  std::vector<double> values;
  for (double value = 0; lines >> value;) values.push_back(value);
  return values;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

TEST_CASE("Three processes sum, broadcast and gather the same everywhere") {
  Group group("collectives", 3);
  const std::string expected =
      "sum 6.000000 first 7.000000 bytes from the first gathered [] [xx] [xxxx] total 3.000000";
  for (int rank = 0; rank < 3; ++rank) CHECK(group.result(rank) == expected);
}

TEST_CASE("One process alone does the same without meeting anybody") {
  Group group("collectives", 1);
  CHECK(group.result(0) ==
        "sum 1.000000 first 7.000000 bytes from the first gathered [] total 0.000000");
}

TEST_CASE("Batch norm over the parts of a batch is that of the whole batch, gradients too") {
  Group whole("layer", 1);
  const std::vector<double> expected = numbers(whole.result(0));
  REQUIRE(expected.size() == 2 * 6 + 2 * 8 * 6 * 25);
  for (const char* role : {"layer", "operators"}) {
    CAPTURE(role);
    Group parts(role, 2);
    for (int rank = 0; rank < 2; ++rank) {
      // Values of some units in double, their mean twenty deviations from zero.
      CHECK(largest_difference(numbers(parts.result(rank)), expected) < 1e-10);
    }
  }
}

TEST_CASE("When a process is killed the others stop and say in which operation of which step") {
  Group group("endless", 3);
  REQUIRE(
      within(kPatienceS, [&] { return group.exists(0) && group.exists(1) && group.exists(2); }));
  group.processes[1]->kill(SIGKILL);
  for (const int rank : {0, 2}) {
    CHECK(group.ends(rank));
    CHECK(group.wait(rank) == kPeerError);
    const std::string output = group.output(rank);
    CAPTURE(output);
    CHECK(output.find("peer: rank " + std::to_string(rank) +
                      " of 3: sum of the gradients at step ") != std::string::npos);
    CHECK(output.find("start all processes again to go on from there") != std::string::npos);
  }
}

TEST_CASE("When rank 0 is killed, and its store with it, the others stop") {
  Group group("endless", 2);
  REQUIRE(within(kPatienceS, [&] { return group.exists(0) && group.exists(1); }));
  group.processes[0]->kill(SIGKILL);
  CHECK(group.ends(1));
  CHECK(group.wait(1) == kPeerError);
  CHECK(group.output(1).find("rank 1 of 2: sum of the gradients at step ") != std::string::npos);
}

TEST_CASE("A process that hangs counts as dead, since its beats stay away") {
  Group group("endless", 2, {"SILENCE=3"});
  REQUIRE(within(kPatienceS, [&] { return group.exists(0) && group.exists(1); }));
  group.processes[1]->kill(SIGSTOP);
  CHECK(group.ends(0));
  CHECK(group.wait(0) == kPeerError);
  CHECK(group.output(0).find("has not answered for 3 s") != std::string::npos);
}

TEST_CASE("When a process fails the others repeat its reason") {
  Group group("failing", 3);
  CHECK(group.wait(1) == 1);
  for (const int rank : {0, 2}) {
    CHECK(group.ends(rank));
    CHECK(group.wait(rank) == kPeerError);
    const std::string output = group.output(rank);
    CAPTURE(output);
    CHECK(output.find("rank 1 gave up: data: file b.png is not there") != std::string::npos);
  }
}

TEST_CASE("A process that does not come is missed by its rank") {
  test::TemporaryFolder folder;
  const int port = test::free_port();
  std::vector<std::string> environment = test::rank_environment(0, 3, port);
  environment.emplace_back("JOIN=2");
  const auto [code, output] = test::run_program(
      {LATHE_BINARY_DIR "/bin/supernet_rank", "collectives", (folder.path() / "0").string()},
      environment);
  CHECK(code == kPeerError);
  CAPTURE(output);
  CHECK(output.find("peer: rank 0 of 3: rank 1, 2 did not come to 127.0.0.1:" +
                    std::to_string(port) + " within 2 s") != std::string::npos);
}
