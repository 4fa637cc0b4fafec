#include "latency/fleet/local_agent.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace lathe::latency {
namespace {

using lathe::test::TemporaryFolder;

std::filesystem::path script(const TemporaryFolder& folder, const std::string& text) {
  const auto path = folder / "agent";
  std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

std::string fault_of(const LocalAgent::Options& options) {
  return lathe::test::message_of<DeviceError>([&] { LocalAgent agent(options); });
}

TEST_CASE("LocalAgent names a program that is missing or not executable") {
  const TemporaryFolder folder;
  const auto missing = folder / "lathe-agent";
  CHECK(fault_of({missing, {}}) == "local agent: program = " + missing.string() +
                                       ", expected an executable: No such file or directory");
}

TEST_CASE("LocalAgent tells the last words of a program that ends at its start") {
  const TemporaryFolder folder;
  const auto path = script(folder, "echo \"$@\" >&2; exit 3");
  const std::string fault = fault_of({path, {"--cpu", "1"}});
  CHECK(fault.find("local agent: " + path.string() + " ended at its start, it wrote: ") == 0);
  CHECK(fault.find("--listen 127.0.0.1:") != std::string::npos);
  CHECK(fault.find(" --die-with-parent --token-file ") != std::string::npos);
  CHECK(fault.find(" --cpu 1") != std::string::npos);

  const auto silent = script(folder, "exit 0");
  CHECK(fault_of({silent, {}}) ==
        "local agent: " + silent.string() + " ended at its start, and it wrote nothing");
}

TEST_CASE("LocalAgent gives its program a token that only this user can read, and removes it") {
  const TemporaryFolder folder;
  const auto path = script(folder,
                           "while [ \"$1\" != --token-file ]; do shift; done\n"
                           "stat -c '%a %s' \"$2\"; echo \"$2\"");
  const std::string fault = fault_of({path, {}});
  CHECK(fault.find("600 64\n") != std::string::npos);
  const std::string token_path = fault.substr(fault.rfind('\n') + 1);
  CHECK(token_path.find("lathe-token-") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(token_path));
}

}  // namespace
}  // namespace lathe::latency
