#include "supernet/data/image_cache.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "core/error.h"
#include "core/file.h"
#include "supernet/data/parallel.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

namespace fs = std::filesystem;

/// Pixels that count up from `first`, and how often they were decoded.
class CountingSource : public ImageSource {
 public:
  explicit CountingSource(uint8_t first = 0, int64_t images = 4) : first_(first), images_(images) {}
  std::string name() const override { return "counting-train"; }
  std::string place() const override { return "/somewhere"; }
  std::string key() const override { return "from " + std::to_string(first_); }
  int64_t count() const override { return images_; }
  ImageShape shape() const override { return {3, 2, 5}; }
  void decode(const ImageShape& shape, uint8_t* pixels) const override {
    ++decoded;
    for (int64_t i = 0; i < images_ * shape.size(); ++i) {
      pixels[i] = static_cast<uint8_t>(first_ + i);
    }
  }
  mutable std::atomic<int> decoded{0};

 private:
  uint8_t first_;
  int64_t images_;
};

fs::path only_file(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  REQUIRE(files.size() == 1);
  return files[0];
}

void check_counting(const CachedImages& images, uint8_t first) {
  CHECK(images.shape == ImageShape{3, 2, 5});
  for (int64_t i = 0; i < 120; ++i) {
    if (images.pixels.get()[i] != static_cast<uint8_t>(first + i)) FAIL_CHECK(i);
  }
}

}  // namespace

TEST_CASE("Images are decoded once and mapped from then on") {
  const test::TemporaryFolder folder;
  const CountingSource source;
  check_counting(read_through_cache(source, folder / "cache"), 0);
  const CachedImages again = read_through_cache(source, folder / "cache");
  check_counting(again, 0);
  CHECK(source.decoded == 1);
  const PixelStatistics direct = pixel_statistics({3, 2, 5}, 4, again.pixels.get());
  CHECK(again.statistics.mean == direct.mean);
  CHECK(again.statistics.standard_deviation == direct.standard_deviation);
  // What another key describes replaces the file; what is mapped stays.
  const CountingSource changed(7);
  check_counting(read_through_cache(changed, folder / "cache"), 7);
  CHECK(changed.decoded == 1);
  only_file(folder / "cache");
  check_counting(again, 0);
}

TEST_CASE("A damaged or cut off cache is made again") {
  const test::TemporaryFolder folder;
  read_through_cache(CountingSource(), folder.path());
  const fs::path file = only_file(folder.path());
  const std::string good = read_file(file);
  CHECK(good.size() == 4096 + 120);
  for (const size_t at :
       {size_t{0}, size_t{9}, size_t{20}, size_t{60}, size_t{130}, size_t{4096}, size_t{4215}}) {
    CAPTURE(at);
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    write_file_atomically(file, damaged);
    const CountingSource source;
    check_counting(read_through_cache(source, folder.path()), 0);
    CHECK(source.decoded == 1);
    CHECK(read_file(file) == good);
  }
  for (const size_t size : {size_t{0}, size_t{100}, size_t{4096}, size_t{4215}}) {
    CAPTURE(size);
    write_file_atomically(file, good.substr(0, size));
    const CountingSource source;
    check_counting(read_through_cache(source, folder.path()), 0);
    CHECK(source.decoded == 1);
  }
  // A left-over of a process that was killed is in nobody's way.
  fs::remove(file);
  write_file_atomically(folder / ("." + file.filename().string() + ".tmp"), "half");
  check_counting(read_through_cache(CountingSource(), folder.path()), 0);
  only_file(folder.path());
}

TEST_CASE("Several that ask at once decode once") {
  const test::TemporaryFolder folder;
  const CountingSource source;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] { check_counting(read_through_cache(source, folder.path()), 0); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(source.decoded == 1);
}

TEST_CASE("A failing decoder leaves no file behind") {
  class Failing : public CountingSource {
    void decode(const ImageShape&, uint8_t*) const override { throw DataError("image 3: no"); }
  };
  const test::TemporaryFolder folder;
  CHECK(message_of<DataError>([&] { read_through_cache(Failing(), folder.path()); }) ==
        "image 3: no");
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("A disk that cannot be written is named with what to do") {
  const std::string advice =
      "; decoded images are kept there: make room, or name another folder with data.cache";
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "file", "");
  CHECK(
      message_of<DataError>([&] { read_through_cache(CountingSource(), folder / "file/cache"); }) ==
      (folder / "file/cache").string() + ": cannot create the folder: Not a directory" + advice);
  const auto told = folder / "told";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {4096, 4096};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(3);
    const std::string message =
        message_of<DataError>([&] { read_through_cache(CountingSource(), folder / "cache"); });
    write_file_atomically(told, message);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(status == 0);
  const std::string message = read_file(told);
  CHECK(message.rfind((folder / "cache/counting-train-").string(), 0) == 0);
  CHECK(message.find(".images: cannot write 4216 bytes: File too large" + advice) !=
        std::string::npos);
  CHECK(fs::is_empty(folder / "cache"));
}

TEST_CASE("pixel_statistics is the mean and deviation of each channel") {
  // Two images of two channels, 1 x 2: the first channel 0 255 255 255, the second 51 everywhere.
  const std::vector<uint8_t> pixels = {0, 255, 51, 51, 255, 255, 51, 51};
  const PixelStatistics statistics = pixel_statistics({2, 1, 2}, 2, pixels.data());
  CHECK(statistics.mean[0] == doctest::Approx(0.75));
  CHECK(statistics.standard_deviation[0] == doctest::Approx(std::sqrt(0.75 * 0.25)));
  CHECK(statistics.mean[1] == doctest::Approx(0.2));
  CHECK(statistics.standard_deviation[1] == doctest::Approx(0.0));
  // Large planes: 2^17 pixels of 255 do not overflow.
  const std::vector<uint8_t> white(1 << 17, 255);
  CHECK(pixel_statistics({1, 256, 512}, 1, white.data()).mean[0] == doctest::Approx(1.0));
}

TEST_CASE("The default cache folder follows the user's environment") {
  const auto saved = [](const char* name) {
    const char* value = ::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const std::string cache = saved("XDG_CACHE_HOME");
  const std::string home = saved("HOME");
  ::setenv("XDG_CACHE_HOME", "/var/tmp/c", 1);
  CHECK(default_cache_folder("data.cache") == "/var/tmp/c/lathe");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/home/me", 1);
  CHECK(default_cache_folder("data.cache") == "/home/me/.cache/lathe");
  ::unsetenv("HOME");
  CHECK(message_of<ConfigError>([] { default_cache_folder("data.cache"); }) ==
        "neither XDG_CACHE_HOME nor HOME is set: set data.cache");
  ::setenv("HOME", home.c_str(), 1);
  if (!cache.empty()) ::setenv("XDG_CACHE_HOME", cache.c_str(), 1);
}

TEST_CASE("for_each_in_parallel does everything once, and throws what failed first") {
  std::vector<std::atomic<int>> done(1000);
  for_each_in_parallel(1000, [&](int64_t i) { ++done[static_cast<size_t>(i)]; });
  for (const auto& count : done) CHECK(count == 1);
  for_each_in_parallel(0, [](int64_t) { throw DataError("none"); });
  for (int round = 0; round < 20; ++round) {
    CHECK(message_of<DataError>([&] {
            for_each_in_parallel(1000, [&](int64_t i) {
              if (i >= 17) throw DataError("image " + std::to_string(i));
            });
          }) == "image 17");
  }
}
