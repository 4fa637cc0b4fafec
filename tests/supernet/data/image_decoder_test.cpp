#include "supernet/data/image_decoder.h"

#include <doctest/doctest.h>

#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "core/error.h"
#include "tests/supernet/image_files.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

/// Red rises to the right, green downwards.
std::vector<uint8_t> ramp(int64_t height, int64_t width) {
  std::vector<uint8_t> values;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (const int64_t value : {4 * x, 4 * y, int64_t{50}}) {
        values.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return values;
}

std::string jpeg_of_ramp(int64_t height, int64_t width) {
  std::vector<uint8_t> values = ramp(height, width);
  for (size_t p = 0; p < values.size(); p += 3) std::swap(values[p], values[p + 2]);
  std::vector<uint8_t> bytes;
  cv::imencode(".jpg",
               cv::Mat(static_cast<int>(height), static_cast<int>(width), CV_8UC3, values.data()),
               bytes, {cv::IMWRITE_JPEG_QUALITY, 98});
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("PNG files come out as they were written, in RGB or grey") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.png";
  const std::vector<uint8_t> values = ramp(5, 7);
  write_file_atomically(path, test::png_bytes(5, 7, 3, values));
  const DecodedImage image = decode_image(path, 3, "here");
  CHECK(image.height == 5);
  CHECK(image.width == 7);
  CHECK(image.values == values);
  std::vector<uint8_t> planes(values.size());
  to_planes(image, planes.data());
  CHECK(planes[2] == 8);             // red at (0, 2)
  CHECK(planes[35 + 7] == 4);        // green at (1, 0)
  CHECK(planes[2 * 35 + 34] == 50);  // blue
  CHECK(read_png_size(path) == std::pair<int64_t, int64_t>(5, 7));
  const DecodedImage grey = decode_image(path, 1, "here");
  CHECK(grey.values.size() == 35);
  // 0.299 * 24 + 0.587 * 16 + 0.114 * 50
  CHECK(std::abs(static_cast<int>(grey.values[34]) - 22) <= 1);
  write_file_atomically(path, test::png_bytes(1, 2, 1, {7, 200}));
  CHECK(decode_image(path, 1, "here").values == std::vector<uint8_t>{7, 200});
  CHECK(decode_image(path, 3, "here").values == std::vector<uint8_t>{7, 7, 7, 200, 200, 200});
}

TEST_CASE("JPEG files come out nearly as they were written") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.jpg";
  write_file_atomically(path, jpeg_of_ramp(40, 48));
  const DecodedImage image = decode_image(path, 3, "here");
  const std::vector<uint8_t> expected = ramp(40, 48);
  REQUIRE(image.values.size() == expected.size());
  int largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(int{image.values[i]} - int{expected[i]}));
  }
  CHECK(largest <= 12);
}

TEST_CASE("A JPEG is complete whatever stands in its thumbnail or behind it") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.jpg";
  const std::string jpeg = jpeg_of_ramp(40, 48);
  const std::string small = jpeg_of_ramp(8, 8);
  const auto length = small.size() + 2;
  const std::string with_thumbnail = jpeg.substr(0, 2) + "\xff\xe1" + static_cast<char>(length / 256) +
                                     static_cast<char>(length % 256) + small + jpeg.substr(2);
  for (const std::string& bytes : {with_thumbnail, jpeg + std::string("film \xff\xda\0 film", 14)}) {
    write_file_atomically(path, bytes);
    CHECK(decode_image(path, 3, "here").values.size() == 40 * 48 * 3);
  }
  write_file_atomically(path, with_thumbnail.substr(0, with_thumbnail.size() - jpeg.size() / 2));
  CHECK_THROWS_AS(decode_image(path, 3, "here"), DataError);
}

TEST_CASE("decode_image refuses what is no complete image") {
  const test::TemporaryFolder folder;
  const auto path = folder / "a.jpg";
  CHECK(message_of<DataError>([&] { decode_image(path, 3, "here"); }) ==
        "here: cannot be read (" + path.string() +
            ": cannot open for reading: No such file or directory)");
  const std::string jpeg = jpeg_of_ramp(40, 48);
  const std::string png = test::png_bytes(40, 48, 3, ramp(40, 48));
  for (const std::string& bytes :
       {std::string("text"), jpeg.substr(0, 3), jpeg.substr(0, jpeg.size() / 2),
        jpeg.substr(0, jpeg.size() - 2), png.substr(0, 30), png.substr(0, png.size() - 40)}) {
    write_file_atomically(path, bytes);
    CHECK(message_of<DataError>([&] { decode_image(path, 3, "here"); }) ==
          "here: cannot be decoded, expected a complete image (PNG, JPEG, ...)");
  }
}

TEST_CASE("resampled takes the means of areas and the centre square") {
  // 2 x 6 of grey: halved to 1 x 3, of which the middle is kept.
  const DecodedImage wide{2, 6, 1, {0, 0, 10, 20, 0, 0, 0, 0, 30, 40, 0, 0}};
  CHECK(resampled(wide, 1).values == std::vector<uint8_t>{25});
  const DecodedImage high{4, 2, 1, {9, 9, 1, 2, 3, 4, 9, 9}};
  CHECK(resampled(high, 2).values == std::vector<uint8_t>{1, 2, 3, 4});
  const DecodedImage flat{3, 3, 3, std::vector<uint8_t>(27, 77)};
  const DecodedImage larger = resampled(flat, 7);
  CHECK(larger.height == 7);
  CHECK(larger.values == std::vector<uint8_t>(7 * 7 * 3, 77));
}

TEST_CASE("Images are known by how their names end") {
  for (const char* name : {"a.png", "a.JPG", "b.x.jpeg", "c.webp"}) CHECK(is_image_name(name));
  for (const char* name : {"a.txt", "png", "a.gif", "a.png.part"}) CHECK_FALSE(is_image_name(name));
}
