#include <doctest/doctest.h>
#include <sys/resource.h>

#include "core/error.h"
#include "supernet/data/idx.h"
#include "tests/supernet/tiny_data.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using supernet::read_idx;
using supernet::read_idx_dimensions;
using supernet::read_idx_images;
using test::idx_bytes;
using test::message_of;

namespace {

std::string read_message(const std::filesystem::path& path, size_t rank) {
  return message_of<DataError>([&] {
    std::vector<int64_t> dimensions;
    read_idx(path, rank, dimensions);
  });
}

}  // namespace

TEST_CASE("read_idx returns the bytes of plain and gzip files") {
  const test::TemporaryFolder folder;
  const std::vector<uint8_t> values = {1, 2, 3, 250, 0, 7};
  write_file_atomically(folder / "plain", idx_bytes({3, 1, 2}, values));
  test::write_gzip(folder / "packed.gz", idx_bytes({3, 1, 2}, values));
  for (const char* name : {"plain", "packed.gz"}) {
    std::vector<int64_t> dimensions;
    CHECK(read_idx(folder / name, 3, dimensions) == values);
    CHECK(dimensions == std::vector<int64_t>{3, 1, 2});
    CHECK(read_idx_dimensions(folder / name) == dimensions);
  }
}

TEST_CASE("read_idx names the file and what is wrong with it") {
  const test::TemporaryFolder folder;
  const auto path = folder / "data";
  struct Bad {
    std::string bytes;
    size_t rank;
    std::string message;
  };
  const std::string good = idx_bytes({3, 1, 2}, {1, 2, 3, 4, 5, 6});
  const std::vector<Bad> table = {
      {"", 3, "shorter than 4 bytes, expected an IDX file"},
      {std::string("\0\0\x08", 3), 3, "shorter than 4 bytes, expected an IDX file"},
      {"\x89PNG", 3, "not an IDX file of unsigned bytes: it starts with 137 80 78, expected 0 0 8"},
      {std::string("\0\0\x0d\x03", 4), 3, "not an IDX file of unsigned bytes: it starts with 0 0 13, expected 0 0 8"},
      {std::string("\0\0\x08\x00", 4), 3, "IDX rank = 0, expected 1 to 4"},
      {std::string("\0\0\x08\x05", 4), 3, "IDX rank = 5, expected 1 to 4"},
      {good.substr(0, 10), 3, "the IDX header ends early"},
      {good, 1, "IDX rank = 3, expected 1"},
      {idx_bytes({0, 1, 2}, {}), 3,
       "IDX dimension 0 = 0, expected at least 1 and at most 8 GiB of data in all"},
      {idx_bytes({4294967295, 4294967295, 1}, {}), 3,
       "IDX dimension 1 = 4294967295, expected at least 1 and at most 8 GiB of data in all"},
      {good.substr(0, good.size() - 3), 3, "ends within element 1, expected 3 as the header says (3 x 1 x 2)"},
      {good + "x", 3, "has data after element 2, expected the end as the header says (3 x 1 x 2)"},
  };
  for (const Bad& bad : table) {
    write_file_atomically(path, bad.bytes);
    CHECK(read_message(path, bad.rank) == path.string() + ": " + bad.message);
  }
}

TEST_CASE("read_idx says that a file is missing, cut off or damaged") {
  const test::TemporaryFolder folder;
  CHECK(read_message(folder / "none", 1) ==
        (folder / "none").string() + ": cannot be opened: No such file or directory");
  const auto path = folder / "data.gz";
  test::write_gzip(path, idx_bytes({200, 4, 4}, test::bar_images(200, 4, Rng(1))));
  const std::string packed = read_file(path);
  write_file_atomically(path, packed.substr(0, packed.size() / 2));
  CHECK(read_message(path, 3) == path.string() + ": the gzip data end early, expected a complete file");
  std::string damaged = packed;
  for (size_t i = damaged.size() / 2; i < damaged.size() / 2 + 40; ++i) damaged[i] = static_cast<char>(~damaged[i]);
  write_file_atomically(path, damaged);
  CHECK(read_message(path, 3).rfind(path.string() + ": damaged gzip data: ", 0) == 0);
}

TEST_CASE("A header that promises gigabytes takes no memory") {
  const test::TemporaryFolder folder;
  const auto path = folder / "data";
  write_file_atomically(path, idx_bytes({2000000000, 2, 2}, {1, 2, 3, 4, 5}));
  rusage before{};
  rusage after{};
  getrusage(RUSAGE_SELF, &before);
  CHECK(read_message(path, 3) ==
        path.string() + ": ends within element 1, expected 2000000000 as the header says (2000000000 x 2 x 2)");
  getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 100 * 1024);  // KiB
}

TEST_CASE("read_idx_images names the image whose label is out of range") {
  const test::TemporaryFolder folder;
  const auto images = folder / "images";
  const auto labels = folder / "labels";
  write_file_atomically(images, idx_bytes({3, 1, 2}, {1, 2, 3, 4, 5, 6}));
  write_file_atomically(labels, idx_bytes({3}, {0, 9, 10}));
  CHECK(message_of<DataError>([&] { read_idx_images(images, labels, 10); }) ==
        labels.string() + ": label of image 2 = 10, expected 0 to 9");
  write_file_atomically(labels, idx_bytes({2}, {0, 9}));
  CHECK(message_of<DataError>([&] { read_idx_images(images, labels, 10); }) ==
        labels.string() + ": labels = 2, expected 3 as in " + images.string());
}
