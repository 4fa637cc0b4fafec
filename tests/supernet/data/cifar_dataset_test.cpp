#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <set>

#include "core/error.h"
#include "supernet/data/dataset.h"
#include "tests/supernet/image_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

/// Options for a small set in `folder` that is not the published one.
DataOptions small_set(const std::filesystem::path& folder) {
  DataOptions options;
  options.dataset = "cifar10";
  options.path = folder;
  options.cache = folder / "cache";
  options.verify = false;
  return options;
}

void check_images(const ImageSet& set, int64_t per_file, uint64_t first_seed) {
  int64_t index = 0;
  for (uint64_t file = 0; index < set.size(); ++file) {
    Rng rng(first_seed + file);
    for (int64_t i = 0; i < per_file; ++i, ++index) {
      const int64_t first = first_seed + file == 1 ? 6 : first_seed + file == 6 ? 3 : 0;
      CHECK(set.label(index) == test::bar_label(i, first));
      const std::vector<uint8_t> expected = test::bar_planes(set.label(index), rng);
      CHECK(std::equal(expected.begin(), expected.end(), set.image(index)));
    }
  }
}

}  // namespace

TEST_CASE("CIFAR-10 is read from its binary files and from sheets, image by image") {
  for (const bool sheets : {false, true}) {
    const test::TemporaryFolder folder;
    (sheets ? test::write_cifar10_sheets : test::write_cifar10)(folder.path(), 20);
    const auto dataset = open_dataset(small_set(folder.path()));
    CHECK(dataset->name() == "cifar10");
    const DatasetInfo info = dataset->train_info();
    CHECK(info.train == 100);
    CHECK(info.shape == ImageShape{3, 32, 32});
    CHECK(info.class_names[6] == "frog");
    CHECK(info.mean == std::vector<double>{0.4914, 0.4822, 0.4465});
    CHECK(dataset->test_count() == 20);
    check_images(dataset->read_train(), 20, 1);
    check_images(dataset->read_test(), 20, 6);
  }
}

TEST_CASE("CIFAR-10 may come as one sheet a part") {
  const test::TemporaryFolder folder;
  test::write_cifar10_sheets(folder.path(), 20);
  for (int sheet = 2; sheet <= 5; ++sheet) {
    std::filesystem::remove(folder / ("data_batch_" + std::to_string(sheet) + ".png"));
  }
  std::string labels = "[";
  for (int64_t i = 0; i < 20; ++i)
    labels += (i > 0 ? "," : "") + std::to_string(test::bar_label(i, 6));
  write_file_atomically(folder / "train_lables.json", labels + "]");
  check_images(open_dataset(small_set(folder.path()))->read_train(), 20, 1);
}

TEST_CASE("CIFAR-100 takes the fine label of its two") {
  const test::TemporaryFolder folder;
  std::string bytes;
  for (int label = 0; label < 100; ++label) {
    bytes += static_cast<char>(label % 20);
    bytes += static_cast<char>(99 - label);
    bytes += std::string(3072, static_cast<char>(label));
  }
  write_file_atomically(folder / "train.bin", bytes);
  write_file_atomically(folder / "test.bin", bytes);
  DataOptions options = small_set(folder.path());
  options.dataset = "cifar100";
  const auto dataset = open_dataset(options);
  const ImageSet set = dataset->read_train();
  CHECK(set.size() == 100);
  CHECK(set.label(3) == 96);
  CHECK(set.image(3)[3071] == 3);
  const std::vector<std::string> names = dataset->train_info().class_names;
  CHECK(names.size() == 100);
  CHECK(std::is_sorted(names.begin(), names.end()));
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == 100);
  CHECK(names[19] == "cattle");
  CHECK(names[49] == "mountain");
}

TEST_CASE("What is wrong with CIFAR's files is named with file and image") {
  struct Bad {
    const char* what;
    bool sheets;
    std::function<void(const std::filesystem::path&)> spoil;
    std::string message;  ///< after the folder
  };
  const auto write = [](const char* name, const std::string& bytes) {
    return
        [=](const std::filesystem::path& folder) { write_file_atomically(folder / name, bytes); };
  };
  const auto remove = [](const char* name) {
    return [=](const std::filesystem::path& folder) { std::filesystem::remove(folder / name); };
  };
  std::string wrong_label = test::cifar_batch(20, 0, 3);
  wrong_label[7 * 3073] = 11;
  std::string no_deer;
  for (const int label : {0, 1, 2, 3, 5, 6, 7, 8, 9}) {
    no_deer += static_cast<char>(label) + std::string(3072, '\1');
  }
  const std::string wide = test::png_bytes(2, 1023, 3, std::vector<uint8_t>(2 * 1023 * 3));
  const std::string grey = test::png_bytes(2, 1024, 1, std::vector<uint8_t>(2 * 1024));
  const std::string sheet = test::png_bytes(20, 1024, 3, std::vector<uint8_t>(20 * 1024 * 3));
  const std::string get = "; run `lathe data fetch cifar10` or set data.path";
  const std::vector<Bad> table = {
      {"none", false, remove("data_batch_1.bin"),
       ": has no data_batch_1.bin or data_batch_1.png" + get},
      {"missing", false, remove("data_batch_4.bin"),
       "/data_batch_4.bin: No such file or directory" + get},
      {"empty", false, write("data_batch_2.bin", ""),
       "/data_batch_2.bin: ends within image 0, expected a multiple of 3073 bytes"},
      {"short", false,
       write("data_batch_2.bin", test::cifar_batch(20, 0, 2).substr(0, 3073 * 5 + 9)),
       "/data_batch_2.bin: ends within image 5, expected a multiple of 3073 bytes"},
      {"label", false, write("data_batch_3.bin", wrong_label),
       "/data_batch_3.bin: label of image 7 = 11, expected 0 to 9"},
      {"class", false,
       [&](const std::filesystem::path& folder) {
         for (char b = '1'; b <= '5'; ++b) {
           write_file_atomically(folder / (std::string("data_batch_") + b + ".bin"), no_deer);
         }
       },
       ": train images: class 4 (deer) has no image, expected at least 1"},
      {"width", true, write("data_batch_3.png", wide),
       "/data_batch_3.png: 2 x 1023 pixels, expected 1024 columns, an image of 32 x 32 in every "
       "row"},
      {"grey", true, write("data_batch_3.png", grey),
       "/data_batch_3.png: not a PNG file of 8-bit RGB"},
      {"text", true, write("data_batch_5.png", "hello"),
       "/data_batch_5.png: not a PNG file of 8-bit RGB"},
      {"cut off", true, write("data_batch_5.png", sheet.substr(0, sheet.size() / 2)),
       "/data_batch_5.png: cannot be decoded, expected a complete image (PNG, JPEG, ...)"},
      {"labels", true, write("train_lables.json", "[6, 2, 1]"),
       "/train_lables.json: labels = 3, expected 100, a row of the sheets each"},
      {"json", true, write("train_lables.json", "[6, 2, "),
       "/train_lables.json: expected a JSON list of labels"},
      {"number", true, write("train_lables.json", "[6, 2.5]"),
       "/train_lables.json: label of image 1 = 2.5, expected 0 to 9"},
      {"range", true, write("train_lables.json", "[6, 2, 10]"),
       "/train_lables.json: label of image 2 = 10, expected 0 to 9"},
      {"no labels", true, remove("train_lables.json"),
       "/train_lables.json: cannot open for reading: No such file or directory"},
  };
  for (const Bad& bad : table) {
    CAPTURE(bad.what);
    const test::TemporaryFolder folder;
    (bad.sheets ? test::write_cifar10_sheets : test::write_cifar10)(folder.path(), 20);
    bad.spoil(folder.path());
    CHECK(message_of<DataError>([&] { open_dataset(small_set(folder.path()))->read_train(); }) ==
          folder.path().string() + bad.message);
  }
}

TEST_CASE("A set that is not the published one is refused unless it is asked for") {
  const std::string told =
      " as in the published cifar10; data.verify: false takes another set of its layout";
  const auto message = [&](const std::filesystem::path& folder) {
    DataOptions options = small_set(folder);
    options.verify = true;
    return message_of<DataError>([&] { open_dataset(options)->read_train(); });
  };
  {
    const test::TemporaryFolder folder;
    test::write_cifar10(folder.path(), 20);
    CHECK(message(folder.path()) ==
          (folder / "data_batch_1.bin").string() + ": images = 20, expected 10000" + told);
  }
  // Full-sized: the first label, then the pixels.
  const test::TemporaryFolder folder;
  std::string batch;
  for (int i = 0; i < 10'000; ++i) batch += static_cast<char>(i % 10) + std::string(3072, '\x7d');
  for (int b = 1; b <= 5; ++b) {
    write_file_atomically(folder / ("data_batch_" + std::to_string(b) + ".bin"), batch);
  }
  CHECK(message(folder.path()) ==
        folder.path().string() + ": label of train image 0 = 0, expected 6" + told);
  batch[0] = 6;
  write_file_atomically(folder / "data_batch_1.bin", batch);
  CHECK(message(folder.path()) ==
        folder.path().string() + ": mean of channel 0 = 0.4902, expected 0.4914" + told);
}

TEST_CASE("The real CIFAR-10 has the published counts, labels, mean and deviation") {
  DataOptions options;
  options.dataset = "cifar10";
  std::unique_ptr<Dataset> dataset;
  try {
    dataset = open_dataset(options);
  } catch (const DataError& error) {
    std::cout << "skipped: " << error.what() << "\n";
    return;
  }
  const ImageSet train = dataset->read_train();  // compares them
  CHECK(train.size() == 50'000);
  CHECK(images_per_class(train, 10) == std::vector<int64_t>(10, 5000));
  const ImageSet test_images = dataset->read_test();
  CHECK(images_per_class(test_images, 10) == std::vector<int64_t>(10, 1000));
  CHECK(test_images.label(0) == 3);
}
