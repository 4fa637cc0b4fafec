#include "cli/pipeline/run_folder.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using cli::RunFolder;
using cli::StageTimer;

TEST_CASE("RunFolder remembers done stages over processes and counts resumes") {
  const test::TemporaryFolder temporary;
  const auto path = temporary.path() / "run";
  {
    RunFolder folder(path, "run: {}\n", "seed: 1\n");
    StageTimer(folder, "prepare").finish();
    const StageTimer interrupted(folder, "train");
  }
  RunFolder folder(path, "run: {}\n", "seed: 1\n");
  CHECK(folder.done("prepare"));
  CHECK_FALSE(folder.done("train"));
  CHECK_FALSE(folder.done("search"));
  StageTimer(folder, "train").finish();
  CHECK(folder.done("train"));
  REQUIRE(folder.stages().size() == 2);
  CHECK(folder.stages()[0].resumed == 0);
  CHECK(folder.stages()[1].resumed == 1);
  CHECK(folder.stages()[1].peak_memory_bytes > 0);
}

TEST_CASE("RunFolder refuses to continue a run with other settings and names the difference") {
  const test::TemporaryFolder temporary;
  const auto path = temporary.path() / "run";
  { RunFolder folder(path, "", "seed: 1\ndata.validation: 5000\n"); }
  CHECK(test::message_of<ConfigError>([&] { RunFolder(path, "", "seed: 1\ndata.validation: 100\n"); }) ==
        path.string() +
            ": this run was started with other settings: it was `data.validation: 5000`, now it is "
            "`data.validation: 100`; give the run another name (run.name) or remove the folder");
}

TEST_CASE("RunFolder keeps a second process out") {
  const test::TemporaryFolder temporary;
  const auto path = temporary.path() / "run";
  const RunFolder folder(path, "", "");
  const pid_t child = fork();
  if (child == 0) {
    try {
      const RunFolder second(path, "", "");
      _exit(0);
    } catch (const DataError& error) {
      const bool named = std::string(error.what()).find(std::to_string(getppid())) != std::string::npos;
      _exit(named ? 3 : 4);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 3);
}

TEST_CASE("RunFolder says that it cannot be created and how to choose another") {
  CHECK(test::message_of<DataError>([] { RunFolder("/proc/run", "", ""); })
            .find("run folder /proc/run: cannot be created: ") == 0);
}

TEST_CASE("RunFolder refuses a manifest of a newer lathe and a torn one") {
  const test::TemporaryFolder temporary;
  write_file_atomically(temporary.path() / "manifest.json", R"({"format_version": 99})");
  CHECK(test::message_of<DataError>([&] { RunFolder(temporary.path(), "", ""); })
            .find("/format_version = 99, expected at most 1: the run was made by a newer lathe") !=
        std::string::npos);
  write_file_atomically(temporary.path() / "manifest.json", R"({"format_ver)");
  CHECK(test::message_of<DataError>([&] { RunFolder(temporary.path(), "", ""); })
            .find("not a readable manifest") != std::string::npos);
}
