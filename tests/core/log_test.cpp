#include "core/log.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace lathe {
namespace {

using test::TemporaryFolder;

/// Runs `body` in a process of its own, whose standard error goes to a file, and returns what it
/// wrote. The log is one for the whole program, so every case needs a fresh one.
template <typename Body>
std::string stderr_of(Body body) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "stderr";
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::freopen(path.c_str(), "w", stderr) == nullptr) ::_exit(2);
    try {
      body();
    } catch (...) {
      ::_exit(3);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return read_file(path);
}

TEST_CASE("nothing is written before the program asks for it") {
  CHECK(stderr_of([] { log::error("unheard"); }).empty());
}

TEST_CASE(
    "to_stderr writes lines from its level on, with their fields and without colours in a file") {
  const std::string output = stderr_of([] {
    log::to_stderr(log::Level::Info);
    log::debug("hidden");
    log::info("epoch {} 100%", {{"loss", "0.41"}, {"device", "pi4"}});
    log::warning("late");
  });
  REQUIRE(output.size() > 9);
  // "HH:MM:SS " comes first.
  CHECK(output.substr(8, 44) == " info  epoch {} 100%  loss=0.41  device=pi4\n");
  CHECK(output.substr(8 + 44 + 8) == " warning  late\n");
}

TEST_CASE("to_json_lines writes one JSON object a line with typed fields, appending") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "log.jsonl";
  for (int run = 0; run < 2; ++run) {
    CHECK(
        stderr_of([&] {
          log::to_json_lines(path);
          log::debug("a \"quoted\"\nline \xff", {{"step", "12"}, {"name", "pi4"}, {"nan", "nan"}});
          log::error("second", {{"list", "[1, 2]"}});
        }).empty());
  }
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  REQUIRE(lines.size() == 4);
  CHECK(lines[0]["level"] == "debug");
  CHECK(lines[0]["message"] == "a \"quoted\"\nline \xef\xbf\xbd");
  CHECK(lines[0]["step"] == 12);
  CHECK(lines[0]["name"] == "pi4");
  CHECK(lines[0]["nan"] == "nan");
  CHECK(lines[3]["level"] == "error");
  CHECK(lines[3]["list"] == nlohmann::json({1, 2}));
  const std::string time = lines[0]["time"];
  REQUIRE(time.size() == 24);
  CHECK(time.substr(10, 1) == "T");
  CHECK(time.substr(19, 1) == ".");
  CHECK(time.back() == 'Z');
}

TEST_CASE("lines of several threads stay whole") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "log.jsonl";
  stderr_of([&] {
    log::to_json_lines(path);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 250; ++i) log::info("m", {{"thread", std::to_string(t)}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::ifstream file(path);
  std::vector<int> counts(4);
  for (std::string line; std::getline(file, line);) {
    ++counts[nlohmann::json::parse(line)["thread"].get<size_t>()];
  }
  CHECK(counts == std::vector<int>{250, 250, 250, 250});
}

TEST_CASE("a full disk is said once on standard error and does not stop the program") {
  const std::string output = stderr_of([] {
    log::to_stderr(log::Level::Warning);
    log::to_json_lines("/dev/full");
    for (int i = 0; i < 3; ++i) log::info("line");
  });
  const std::string told = "/dev/full: cannot write the log: ";
  const size_t first = output.find(told);
  REQUIRE(first != std::string::npos);
  CHECK(output.find(told, first + 1) == std::string::npos);
  CHECK(output.find("No space left on device") != std::string::npos);
}

TEST_CASE("to_json_lines refuses a path that cannot be opened") {
  const TemporaryFolder folder;
  const std::string message =
      test::message_of<DataError>([&] { log::to_json_lines(folder.path()); });
  CHECK(message.substr(0, folder.path().string().size() + 21) ==
        folder.path().string() + ": cannot open the log");
  CHECK(message.find("Is a directory") != std::string::npos);
}

}  // namespace
}  // namespace lathe
