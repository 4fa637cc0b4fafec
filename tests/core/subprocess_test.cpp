#include "core/subprocess.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;

TEST_CASE("run_program gives exit code and all output, in the folder that was named") {
  const test::TemporaryFolder folder;
  const ProgramResult result =
      run_program({"sh", "-c", "pwd; echo to-error >&2; cat; exit 7"}, folder.path());
  CHECK(result.exit_code == 7);
  CHECK(result.output == std::filesystem::canonical(folder.path()).string() + "\nto-error\n");
  CHECK(run_program({"sh", "-c", "kill -9 $$"}, folder.path()).exit_code == -9);
  const ProgramResult large = run_program({"sh", "-c", "head -c 300000 /dev/zero"}, folder.path());
  CHECK(large.output.size() == 300000);
}

TEST_CASE("run_program names a program that cannot be started") {
  CHECK(test::message_of<DataError>([] { run_program({"no-such-program-here"}, "."); }) ==
        "no-such-program-here: cannot be started: No such file or directory");
}
