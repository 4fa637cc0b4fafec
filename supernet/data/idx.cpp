#include "supernet/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/text.h"

namespace lathe::supernet {
namespace {

constexpr size_t kMaximumRank = 4;
constexpr int64_t kMaximumBytes = int64_t{1} << 33;

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

/// A file read through zlib, which passes plain files through unchanged.
class GzipReader {
 public:
  explicit GzipReader(const std::filesystem::path& path) : path_(path) {
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) fail(std::string("cannot be opened: ") + std::strerror(errno));
    gzbuffer(file_.get(), 1U << 18);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(path_.string() + ": " + what);
  }

  /// Returns how many of `size` bytes could be read.
  size_t read(uint8_t* target, size_t size) {
    size_t done = 0;
    while (done < size) {
      const auto part = static_cast<unsigned>(std::min<size_t>(size - done, 1U << 24));
      const int got = gzread(file_.get(), target + done, part);
      if (got < 0) fail_on_zlib();
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    if (done < size) check_for_truncation();
    return done;
  }

 private:
  void fail_on_zlib() const {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    fail(std::string("damaged gzip data: ") + (code == Z_ERRNO ? std::strerror(errno) : text));
  }
  void check_for_truncation() const {
    int code = Z_OK;
    gzerror(file_.get(), &code);
    if (code == Z_BUF_ERROR) fail("the gzip data end early, expected a complete file");
    if (code != Z_OK && code != Z_STREAM_END) fail_on_zlib();
  }

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, CloseGzip> file_;
};

std::vector<int64_t> read_header(GzipReader& reader) {
  std::array<uint8_t, 4> magic{};
  if (reader.read(magic.data(), magic.size()) != magic.size()) {
    reader.fail("shorter than 4 bytes, expected an IDX file");
  }
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 0x08) {
    reader.fail("not an IDX file of unsigned bytes: it starts with " + std::to_string(magic[0]) +
                " " + std::to_string(magic[1]) + " " + std::to_string(magic[2]) +
                ", expected 0 0 8");
  }
  const size_t rank = magic[3];
  if (rank == 0 || rank > kMaximumRank) {
    reader.fail("IDX rank = " + std::to_string(rank) + ", expected 1 to 4");
  }
  std::vector<int64_t> dimensions;
  int64_t bytes = 1;
  for (size_t d = 0; d < rank; ++d) {
    std::array<uint8_t, 4> raw{};
    if (reader.read(raw.data(), raw.size()) != raw.size()) reader.fail("the IDX header ends early");
    const int64_t size =
        (int64_t{raw[0]} << 24) | (int64_t{raw[1]} << 16) | (int64_t{raw[2]} << 8) | raw[3];
    if (size == 0 || size > kMaximumBytes / bytes) {
      reader.fail("IDX dimension " + std::to_string(d) + " = " + std::to_string(size) +
                  ", expected at least 1 and at most 8 GiB of data in all");
    }
    bytes *= size;
    dimensions.push_back(size);
  }
  return dimensions;
}

std::string describe(const std::vector<int64_t>& dimensions) {
  return join(dimensions, " x ", [](int64_t size) { return std::to_string(size); });
}

}  // namespace

std::vector<int64_t> read_idx_dimensions(const std::filesystem::path& path) {
  GzipReader reader(path);
  return read_header(reader);
}

std::vector<uint8_t> read_idx(const std::filesystem::path& path, size_t rank,
                              std::vector<int64_t>& dimensions) {
  GzipReader reader(path);
  dimensions = read_header(reader);
  if (dimensions.size() != rank) {
    reader.fail("IDX rank = " + std::to_string(dimensions.size()) + ", expected " +
                std::to_string(rank));
  }
  int64_t element = 1;  // bytes of one image or label
  for (size_t d = 1; d < rank; ++d) element *= dimensions[d];
  const auto promised = static_cast<size_t>(element * dimensions[0]);
  // Memory follows what is there: the header of a damaged file may promise anything.
  std::vector<uint8_t> bytes;
  size_t got = 0;
  while (got == bytes.size() && got < promised) {
    bytes.resize(std::min(promised, std::max<size_t>(2 * got, 1U << 24)));
    got += reader.read(bytes.data() + got, bytes.size() - got);
  }
  if (got != promised) {
    reader.fail("ends within element " + std::to_string(static_cast<int64_t>(got) / element) +
                ", expected " + std::to_string(dimensions[0]) + " as the header says (" +
                describe(dimensions) + ")");
  }
  uint8_t extra = 0;
  if (reader.read(&extra, 1) != 0) {
    reader.fail("has data after element " + std::to_string(dimensions[0] - 1) +
                ", expected the end as the header says (" + describe(dimensions) + ")");
  }
  return bytes;
}

ImageSet read_idx_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                         int64_t classes) {
  std::vector<int64_t> image_dimensions;
  std::vector<int64_t> label_dimensions;
  std::vector<uint8_t> pixels = read_idx(images, 3, image_dimensions);
  const std::vector<uint8_t> raw_labels = read_idx(labels, 1, label_dimensions);
  if (label_dimensions[0] != image_dimensions[0]) {
    throw DataError(labels.string() + ": labels = " + std::to_string(label_dimensions[0]) +
                    ", expected " + std::to_string(image_dimensions[0]) + " as in " +
                    images.string());
  }
  std::vector<int64_t> numbers;
  numbers.reserve(raw_labels.size());
  for (size_t i = 0; i < raw_labels.size(); ++i) {
    if (raw_labels[i] >= classes) {
      throw DataError(labels.string() + ": label of image " + std::to_string(i) + " = " +
                      std::to_string(raw_labels[i]) + ", expected 0 to " +
                      std::to_string(classes - 1));
    }
    numbers.push_back(raw_labels[i]);
  }
  return {{1, image_dimensions[1], image_dimensions[2]}, std::move(pixels), std::move(numbers)};
}

}  // namespace lathe::supernet
