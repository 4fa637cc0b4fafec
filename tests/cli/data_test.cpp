// `lathe data`: the program and its module on small data sets.

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "tests/supernet/image_files.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;

namespace {

std::pair<int, std::string> lathe_data(std::vector<std::string> arguments,
                                       const std::vector<std::string>& environment = {}) {
  arguments.insert(arguments.begin(), {std::string(LATHE_BINARY_DIR) + "/bin/lathe", "data"});
  return test::run_program(arguments, environment);
}

/// A data set of folders, the second class with one image of 25, and a config for it.
void write_config(const test::TemporaryFolder& folder) {
  for (int i = 0; i < 250; ++i) {
    const std::string name = (i % 50 == 0 ? "rare/" : "usual/") + std::to_string(i) + ".png";
    test::write_colour(folder / ("images/train/" + name), 8, 8, static_cast<uint8_t>(i));
    if (i < 50) test::write_colour(folder / ("images/test/" + name), 8, 8, static_cast<uint8_t>(i));
  }
  test::tiny_space(folder.path());
  write_file_atomically(folder / "config.yaml",
                        "data:\n"
                        "  dataset: folder\n"
                        "  path: " +
                            (folder / "images").string() +
                            "\n"
                            "  cache: " +
                            (folder / "cache").string() +
                            "\n"
                            "  validation: 100\n"
                            "  calibration: 100\n"
                            "space: tiny.yaml\n"
                            "search: {objectives: [accuracy, macs]}\n");
}

}  // namespace

TEST_CASE("lathe data show reports classes, splits and what is unbalanced") {
  const test::TemporaryFolder folder;
  write_config(folder);
  const auto [code, output] = lathe_data({"show", (folder / "config.yaml").string(), "--json"});
  CAPTURE(output);
  REQUIRE(code == 0);
  const auto report = nlohmann::json::parse(output);
  CHECK(report["dataset"] == "folder");
  CHECK(report["height"] == 8);
  CHECK(report["splits"]["train"] == 50);
  CHECK(report["splits"]["test"] == 50);
  CHECK(report["mean"].size() == 3);
  CHECK(report["classes"][0]["name"] == "rare");
  int64_t in_train = 0;
  for (const auto& each : report["classes"]) in_train += each["train"].get<int64_t>();
  CHECK(in_train == 50);
  const auto [text_code, text] = lathe_data({"show", (folder / "config.yaml").string()});
  CHECK(text_code == 0);
  CHECK(text.find("data       folder: 2 classes, 8 x 8, RGB\n"
                  "splits     train 50, calibration 100, validation 100, test 50\n") == 0);
  const auto rare = report["classes"][0]["train"].get<int64_t>();
  REQUIRE(10 * rare < 50 - rare);
  CHECK(text.find("warning: class 0 (rare) has " + std::to_string(rare) +
                  " training images, under a tenth of the " + std::to_string(50 - rare) +
                  " of the largest class\n") != std::string::npos);
}

TEST_CASE("lathe data show names what is wrong, with the exit code for data or usage") {
  const test::TemporaryFolder folder;
  write_config(folder);
  const std::string config = (folder / "config.yaml").string();
  test::write_colour(folder / "images/train/usual/1.png", 9, 8, 1);
  const auto [code, output] = lathe_data({"show", config});
  CHECK(code == 3);
  CHECK(output.find("lathe: " + (folder / "images/train/usual/1.png").string() +
                    " (image 5): 9 x 8 pixels, expected 8 x 8 as ") == 0);
  CHECK(lathe_data({"show", config, "--set", "data.resolution=8"}).first == 0);
  CHECK(lathe_data({"show", "cifar10", "--path", "/nonexistent"}) ==
        std::pair<int, std::string>(
            3,
            "lathe: data set cifar10: /nonexistent is not a folder; run `lathe data fetch "
            "cifar10` or set data.path\n"));
  CHECK(lathe_data({"show", "cifar10", "--set", "a=1"}).first == 2);
  CHECK(lathe_data({"show", config, "--path", "x"}).first == 2);
}

TEST_CASE("lathe data fetch says how to get what it cannot fetch, and that npm is missing") {
  const test::TemporaryFolder folder;
  const std::vector<std::string> clean = {"PATH=" + folder.path().string(),
                                          "XDG_CACHE_HOME=" + folder.path().string()};
  const auto [code, output] = lathe_data({"fetch", "cifar10"}, clean);
  CHECK(code == 3);
  CHECK(output.find("lathe: npm: cannot be started: No such file or directory; expected npm "
                    "(Debian package npm)") == 0);
  CHECK(std::filesystem::is_empty(folder / "lathe/datasets"));
  const auto [other, advice] = lathe_data({"fetch", "cifar100"}, clean);
  CHECK(other == 3);
  CHECK(advice.find("set data.path to the folder of its binary version") != std::string::npos);
  CHECK(lathe_data({"fetch", "imagenet"}) ==
        std::pair<int, std::string>(2,
                                    "lathe: data set imagenet: cannot be fetched, expected "
                                    "fashion_mnist, mnist, cifar10 or cifar100\n"));
  const auto [mnist, package] = lathe_data({"fetch", "fashion_mnist", "--to", "/nonexistent"});
  CHECK(mnist == 3);
  CHECK(package.find("install the Debian package dataset-fashion-mnist") != std::string::npos);
}
