#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "supernet/data/dataset.h"
#include "supernet/data/splits.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

DataOptions bars(const std::filesystem::path& folder) {
  DataOptions options;
  options.path = folder;
  options.validation = 30;
  options.calibration = 20;
  return options;
}

}  // namespace

TEST_CASE("open_dataset names the package when the data are not there") {
  DataOptions options;
  options.path = "/nonexistent/folder";
  CHECK(message_of<DataError>([&] { open_dataset(options); }) ==
        "data set fashion_mnist: /nonexistent/folder is not a folder; install the Debian package "
        "dataset-fashion-mnist or set data.path");
  const test::TemporaryFolder folder;
  options.path = folder.path();
  CHECK(message_of<DataError>([&] { open_dataset(options)->read_train(); }) ==
        (folder / "train-images-idx3-ubyte.gz").string() +
            ": no such file; install the Debian package dataset-fashion-mnist or set data.path");
  options.dataset = "imagenet";
  CHECK(message_of<ConfigError>([&] { open_dataset(options); }) ==
        "/data/dataset = imagenet, expected one of fashion_mnist, mnist, cifar10, cifar100, folder, csv");
}

TEST_CASE("A dataset reads training and test files by different calls") {
  const test::TemporaryFolder folder;
  test::write_bars(folder.path(), "train", 100, 6);
  const auto dataset = open_dataset(bars(folder.path()));
  const DatasetInfo info = dataset->train_info();
  CHECK(info.train == 100);
  CHECK(info.shape.height == 6);
  CHECK(info.classes == 10);
  CHECK(info.class_names[9] == "Ankle boot");
  CHECK(dataset->read_train().size() == 100);
  CHECK(message_of<DataError>([&] { dataset->read_test(); }).rfind((folder / "t10k-images").string(), 0) == 0);
  test::write_bars(folder.path(), "t10k", 40, 6);
  CHECK(dataset->test_count() == 40);
  CHECK(dataset->read_test().label(13) == 3);
}

TEST_CASE("What identifies IDX files is what they hold, packed or not") {
  const test::TemporaryFolder folder;
  test::write_bars(folder.path(), "train", 100, 6);
  const auto identity = [&] { return open_dataset(bars(folder.path()))->train_info().identity; };
  const std::string before = identity();
  const auto packed = folder / "train-labels-idx1-ubyte.gz";
  std::filesystem::remove(packed);
  std::vector<uint8_t> labels = test::bar_labels(100);
  write_file_atomically(folder / "train-labels-idx1-ubyte", test::idx_bytes({100}, labels));
  CHECK(identity() == before);
  std::swap(labels[3], labels[4]);
  write_file_atomically(folder / "train-labels-idx1-ubyte", test::idx_bytes({100}, labels));
  CHECK(identity() != before);
}

TEST_CASE("A dataset refuses an empty class and test images of another size") {
  const test::TemporaryFolder folder;
  test::write_bars(folder.path(), "train", 100, 6);
  test::write_bars(folder.path(), "t10k", 40, 8);
  const auto dataset = open_dataset(bars(folder.path()));
  CHECK(message_of<DataError>([&] { dataset->read_test(); }) ==
        (folder / "t10k-images-idx3-ubyte.gz").string() + ": images are 8 x 8, expected 6 x 6 as in training");
  std::vector<uint8_t> labels = test::bar_labels(100);
  std::replace(labels.begin(), labels.end(), uint8_t{4}, uint8_t{5});
  const auto path = folder / "train-labels-idx1-ubyte.gz";
  test::write_gzip(path, test::idx_bytes({100}, labels));
  CHECK(message_of<DataError>([&] { dataset->read_train(); }) ==
        path.string() + ": class 4 (Coat) has no image, expected at least 1");
}

TEST_CASE("split_training_files makes disjoint splits that depend on the seed") {
  DataOptions options = bars("");
  const Splits splits = split_training_files(options, 200, 7);
  CHECK(splits.validation.size() == 30);
  CHECK(splits.calibration.size() == 20);
  CHECK(splits.train.size() == 150);
  std::set<int64_t> all;
  for (const auto* part : {&splits.train, &splits.calibration, &splits.validation}) {
    all.insert(part->begin(), part->end());
  }
  CHECK(all.size() == 200);
  CHECK(*all.rbegin() == 199);
  CHECK(split_training_files(options, 200, 7).train == splits.train);
  CHECK(split_training_files(options, 200, 8).train != splits.train);
  options.train_limit = 50;
  const Splits limited = split_training_files(options, 200, 7);
  CHECK(limited.validation == splits.validation);
  CHECK(limited.train == std::vector<int64_t>(splits.train.begin(), splits.train.begin() + 50));
  CHECK(split_hash("d", "p", {1, 23}) != split_hash("d", "p", {12, 3}));
  CHECK(split_hash("d", "p", {1, 2}).size() == 64);
}

TEST_CASE("split_training_files refuses splits that leave nothing to train on") {
  DataOptions options = bars("");
  CHECK(message_of<ConfigError>([&] { split_training_files(options, 50, 1); }) ==
        "/data: validation = 30, calibration = 20, expected at least 1 each and together less than the 50 training "
        "images");
}
