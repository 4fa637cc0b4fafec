#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "supernet/data/csv_index.h"
#include "supernet/data/dataset.h"
#include "tests/supernet/image_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

namespace fs = std::filesystem;

DataOptions files_in(const fs::path& folder, const std::string& dataset) {
  DataOptions options;
  options.dataset = dataset;
  options.path = folder;
  options.cache = folder / "cache";
  return options;
}

/// Three training images of two classes and two test images of 4 x 6, as folders and as an index.
void write_images(const fs::path& folder) {
  const auto write = [&](const char* name, uint8_t value) {
    test::write_colour(folder / name, 4, 6, value);
  };
  write("train/cat/1.png", 100);
  write("train/bird/b.PNG", 50);
  write("train/bird/a.png", 10);
  write("test/bird/x.png", 20);
  write("test/cat/y.png", 30);
  write_file_atomically(folder / "train.csv",
                        "file,label\ntrain/cat/1.png,cat\n\ntrain/bird/b.PNG,bird\r\n"
                        "\"train/bird/a.png\",\"bird\"\n");
  write_file_atomically(folder / "test.csv",
                        "file,label\ntest/bird/x.png,bird\ntest/cat/y.png,cat");
}

struct Bad {
  const char* what;
  const char* dataset;
  std::function<void(const fs::path&)> spoil;
  std::string message;  ///< FOLDER stands for the folder
};

std::function<void(const fs::path&)> writing(const char* name, const std::string& bytes) {
  return [=](const fs::path& folder) { write_file_atomically(folder / name, bytes); };
}

std::string with_folder(std::string text, const fs::path& folder) {
  for (size_t at = text.find("FOLDER"); at != std::string::npos; at = text.find("FOLDER")) {
    text.replace(at, 6, folder.string());
  }
  return text;
}

}  // namespace

TEST_CASE("Folders of images are classes sorted by name, with images sorted by name") {
  const test::TemporaryFolder folder;
  write_images(folder.path());
  write_file_atomically(folder / "train/cat/.hidden", "");
  write_file_atomically(folder / "train/cat/notes.txt", "no image");
  const auto dataset = open_dataset(files_in(folder.path(), "folder"));
  const DatasetInfo info = dataset->train_info();
  CHECK(info.name == "folder");
  CHECK(info.class_names == std::vector<std::string>{"bird", "cat"});
  CHECK(info.classes == 2);
  CHECK(info.train == 3);
  CHECK(info.shape == ImageShape{3, 4, 6});
  const ImageSet train = dataset->read_train();
  CHECK(train.size() == 3);
  CHECK(train.label(0) == 0);
  CHECK(train.image(0)[1] == 10);
  CHECK(train.image(1)[1] == 50);
  CHECK(train.label(2) == 1);
  CHECK(train.image(2)[0] == 155);  // the red of the pixel of its own
  CHECK(train.image(2)[24] == 100);
  CHECK(dataset->test_count() == 2);
  CHECK(dataset->read_test().image(1)[1] == 30);
}

TEST_CASE("Mean and standard deviation are those of the training images") {
  const test::TemporaryFolder folder;
  write_images(folder.path());
  const DatasetInfo info = open_dataset(files_in(folder.path(), "csv"))->train_info();
  // Green: 24 pixels each of 100, 50 and 10.
  CHECK(info.mean[1] == doctest::Approx(160.0 / 3.0 / 255.0));
  const double square = (100.0 * 100 + 50 * 50 + 10 * 10) / 3.0 - (160.0 / 3.0) * (160.0 / 3.0);
  CHECK(info.standard_deviation[1] == doctest::Approx(std::sqrt(square) / 255.0));
  // Red: one pixel of each is 255 less the rest.
  CHECK(info.mean[0] == doctest::Approx((23 * 160.0 + 155 + 205 + 245) / 72.0 / 255.0));
}

TEST_CASE("What identifies a data set of files is its files and labels, not its place") {
  const test::TemporaryFolder folder;
  write_images(folder / "a");
  write_images(folder / "b");
  const auto identity = [&](const char* name) {
    return open_dataset(files_in(folder / name, "folder"))->train_info().identity;
  };
  CHECK(identity("a").substr(0, 7) == "folder ");
  CHECK(identity("a") == identity("b"));
  fs::rename(folder / "b/train/bird/a.png", folder / "b/train/cat/a.png");
  CHECK(identity("a") != identity("b"));
}

TEST_CASE("An index names files and labels, in its own order") {
  const test::TemporaryFolder folder;
  write_images(folder.path());
  const auto dataset = open_dataset(files_in(folder.path(), "csv"));
  CHECK(dataset->train_info().class_names == std::vector<std::string>{"bird", "cat"});
  const ImageSet train = dataset->read_train();
  CHECK(train.label(0) == 1);
  CHECK(train.image(0)[1] == 100);
  CHECK(train.label(2) == 0);
  CHECK(train.image(2)[1] == 10);
  CHECK(dataset->test_count() == 2);
  CHECK(dataset->read_test().label(1) == 1);
}

TEST_CASE("Labels that are whole numbers are the classes' numbers") {
  const test::TemporaryFolder folder;
  write_images(folder.path());
  std::string index = "file,label\n";
  for (int c = 0; c <= 10; ++c) {
    const std::string name = std::to_string(c) + ".png";
    test::write_colour(folder / name, 4, 6, static_cast<uint8_t>(c));
    index += name + "," + std::to_string(c) + "\n";
  }
  write_file_atomically(folder / "train.csv", index);
  const auto dataset = open_dataset(files_in(folder.path(), "csv"));
  CHECK(dataset->train_info().class_names[10] == "10");
  CHECK(dataset->read_train().label(2) == 2);
}

TEST_CASE("Images are brought to one size and to grey where the configuration says so") {
  const test::TemporaryFolder folder;
  write_images(folder.path());
  test::write_colour(folder / "train/cat/2.png", 9, 5, 200);
  DataOptions options = files_in(folder.path(), "folder");
  options.resolution = 2;
  options.channels = 1;
  const auto dataset = open_dataset(options);
  CHECK(dataset->train_info().shape == ImageShape{1, 2, 2});
  CHECK(dataset->train_info().mean.size() == 1);
  CHECK(dataset->read_train().image(3)[3] == 200);
}

TEST_CASE("What is wrong with image files is named with file and image or line") {
  const std::string png = test::png_bytes(4, 6, 3, std::vector<uint8_t>(72, 9));
  const auto remove = [](const char* name) {
    return [=](const fs::path& folder) { fs::remove_all(folder / name); };
  };
  const auto small = [](const fs::path& folder) {
    test::write_colour(folder / "train/cat/1.png", 4, 5, 100);
  };
  const std::vector<Bad> table = {
      {"no train", "folder", remove("train"), "FOLDER/train: is not a folder"},
      {"no class", "folder",
       [](const fs::path& folder) {
         fs::remove_all(folder / "train");
         fs::create_directories(folder / "train");
       },
       "FOLDER/train: is empty, expected a folder for each class"},
      {"one class", "folder", remove("train/cat"),
       "FOLDER/train: classes = 1, expected at least 2"},
      {"file among classes", "folder", writing("train/readme.txt", "x"),
       "FOLDER/train/readme.txt: is not a folder, expected one for each class"},
      {"folder among images", "folder", writing("train/cat/more/1.png", png),
       "FOLDER/train/cat/more: is a folder, expected images in a class's folder"},
      {"empty class", "folder", remove("train/cat/1.png"),
       "FOLDER/train: class 1 (cat) has no image, expected at least 1"},
      {"mixed sizes", "folder", small,
       "FOLDER/train/cat/1.png (image 2): 4 x 5 pixels, expected 4 x 6 as FOLDER/train/bird/a.png "
       "has; "
       "data.resolution: N brings all images to one size"},
      {"text", "folder", writing("train/bird/b.PNG", "no image"),
       "FOLDER/train/bird/b.PNG (image 1): cannot be decoded, expected a complete image (PNG, "
       "JPEG, ...)"},
      {"cut off", "folder", writing("train/bird/a.png", png.substr(0, png.size() - 20)),
       "FOLDER/train/bird/a.png (image 0): cannot be decoded, expected a complete image (PNG, "
       "JPEG, ...)"},
      {"empty file", "folder", writing("train/bird/b.PNG", ""),
       "FOLDER/train/bird/b.PNG (image 1): is empty, expected an image"},
      {"one colour", "folder",
       [=](const fs::path& folder) {
         for (const char* name : {"cat/1.png", "bird/b.PNG", "bird/a.png"}) {
           write_file_atomically(folder / "train" / name, png);
         }
       },
       "FOLDER/train: channel 0 is the same in all pixels of all images, expected images that "
       "differ"},
      {"no index", "csv", remove("train.csv"),
       "FOLDER/train.csv: cannot open for reading: No such file or directory"},
      {"unknown file", "csv", writing("train.csv", "file,label\ntrain/cat/1.png,cat\nx.png,dog\n"),
       "FOLDER/train.csv:3: FOLDER/x.png: no such file"},
      {"numbers with a gap", "csv",
       writing("train.csv", "file,label\ntrain/cat/1.png,0\ntrain/bird/a.png,2\n"),
       "FOLDER/train.csv: class 1 (1) has no image, expected at least 1"},
      {"mixed sizes", "csv", small,
       "FOLDER/train/bird/b.PNG (image 1): 4 x 6 pixels, expected 4 x 5 as FOLDER/train/cat/1.png "
       "has; "
       "data.resolution: N brings all images to one size"},
  };
  for (const Bad& bad : table) {
    CAPTURE(bad.dataset);
    CAPTURE(bad.what);
    const test::TemporaryFolder folder;
    write_images(folder.path());
    bad.spoil(folder.path());
    CHECK(message_of<DataError>([&] {
            open_dataset(files_in(folder.path(), bad.dataset))->read_train();
          }) == with_folder(bad.message, folder.path()));
  }
}

TEST_CASE("Test images must be of the classes and the size of the training images") {
  const std::vector<Bad> table = {
      {"class", "folder",
       [](const fs::path& folder) { test::write_colour(folder / "test/dog/1.png", 4, 6, 1); },
       "FOLDER/test/dog: no class of that name in FOLDER/train, expected one of bird, cat"},
      {"size", "folder",
       [](const fs::path& folder) {
         for (const char* name : {"bird/x.png", "cat/y.png"}) {
           test::write_colour(folder / "test" / name, 8, 8, 1);
         }
       },
       "FOLDER/test/bird/x.png (image 0): 8 x 8 pixels, expected 4 x 6 as in training; "
       "data.resolution: N brings "
       "all images to one size"},
      {"label", "csv", writing("test.csv", "file,label\ntest/cat/y.png,dog\n"),
       "FOLDER/test.csv:2: label = dog, expected a class of FOLDER/train.csv"},
      {"image of training", "csv",
       writing("test.csv", "file,label\ntest/bird/x.png,bird\n./train/cat/1.png,cat\n"),
       "FOLDER/test.csv:3: train/cat/1.png stands in FOLDER/train.csv:2, too, expected other images to test on"},
      {"class without image", "csv", writing("test.csv", "file,label\ntest/cat/y.png,cat\n"),
       "FOLDER/test.csv: class 0 (bird) has no image, expected at least 1"},
  };
  for (const Bad& bad : table) {
    CAPTURE(bad.what);
    const test::TemporaryFolder folder;
    write_images(folder.path());
    bad.spoil(folder.path());
    CHECK(message_of<DataError>([&] {
            open_dataset(files_in(folder.path(), bad.dataset))->read_test();
          }) == with_folder(bad.message, folder.path()));
  }
}

TEST_CASE("A data set of files needs its folder") {
  DataOptions options = files_in("", "folder");
  CHECK(message_of<ConfigError>([&] { open_dataset(options); }) ==
        "/data/path is empty, expected one with train/CLASS/ and test/CLASS/ of images");
  options = files_in("/nonexistent", "csv");
  CHECK(message_of<DataError>([&] { open_dataset(options); }) ==
        "data set csv: /nonexistent is not a folder; expected one with train.csv and test.csv");
}

TEST_CASE("read_csv_index names the line of what is wrong") {
  const test::TemporaryFolder folder;
  const auto path = folder / "index.csv";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", ":1: \"\", expected the header file,label"},
      {"a.png,cat\n", ":1: \"a.png,cat\", expected the header file,label"},
      {"file,label\n\n", ":1: no images, expected a line for each after the header"},
      {"file,label\na.png,cat\nb.png\n", ":3: 1 values, expected 2: file,label"},
      {"file,label\na.png,cat,1\n", ":2: 3 values, expected 2: file,label"},
      {"file,label\n,cat\n", ":2: the file is empty, expected the name of an image"},
      {"file,label\na.png,\n", ":2: the label is empty, expected the name of a class"},
      {"file,label\n\"a.png,cat\n", ":2: a quote is not closed"},
      {"file,label\na.png,cat\n\na.png,dog\n",
       ":4: a.png stands in line 2 already, expected every file once"},
      {"file,label\na.png,cat\nb/.././a.png,cat\n",
       ":3: b/.././a.png stands in line 2 already, expected every file once"},
  };
  for (const auto& [text, message] : table) {
    write_file_atomically(path, text);
    CHECK(message_of<DataError>([&] { read_csv_index(path); }) == path.string() + message);
  }
  write_file_atomically(path,
                        "\xef\xbb\xbf"
                        "file,label\r\n\"a,\"\"1\"\".png\",big cat\r\n");
  const std::vector<IndexEntry> entries = read_csv_index(path);
  CHECK(entries.size() == 1);
  CHECK(entries[0].file == "a,\"1\".png");
  CHECK(entries[0].label == "big cat");
  CHECK(entries[0].line == 2);
}
