// The only file that includes OpenCV; no_image_decoder.cpp stands in for it.

#include "supernet/data/image_decoder.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"
#include "core/file.h"

namespace lathe::supernet {
namespace {

constexpr uint64_t kLargestFile = uint64_t{1} << 30;

int type_of(int64_t channels) { return channels == 1 ? CV_8UC1 : CV_8UC3; }

/// A Mat over the image's own values.
cv::Mat view(const DecodedImage& image) {
  return {static_cast<int>(image.height), static_cast<int>(image.width), type_of(image.channels),
          const_cast<uint8_t*>(image.values.data())};
}

/// Decoders fill up what is missing of a JPEG and say nothing. A complete one has its end marker
/// after a scan. Segments are stepped over by their lengths, since they may hold another image (a
/// thumbnail); what stands behind the end marker (a phone's film, say) is not looked at.
bool ends_early(const std::string& bytes) {
  if (bytes.compare(0, 2, "\xff\xd8") != 0) return false;
  const auto byte = [&bytes](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  bool has_scan = false;
  for (size_t at = 2; at + 1 < bytes.size();) {
    const int marker = byte(at) == 0xff ? byte(at + 1) : 0;
    if (marker == 0xd9) return !has_scan;
    has_scan = has_scan || marker == 0xda;
    // Not so the values of a scan (00), restarts (d0 to d7) and filling (ff).
    const bool has_length = marker >= 0xc0 && marker != 0xff && (marker < 0xd0 || marker > 0xd8);
    if (has_length && at + 3 >= bytes.size()) return true;
    at += has_length ? 2 + 256 * size_t{byte(at + 2)} + byte(at + 3) : 1;
  }
  return true;
}

cv::Mat decode(const std::string& bytes, int64_t channels) {
  // OpenCV counts images of more than 2^30 pixels and damaged ones as errors of its own.
  try {
    const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
    return cv::imdecode(raw, channels == 1 ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
  } catch (const cv::Exception&) {
    return {};
  }
}

}  // namespace

DecodedImage decode_image(const std::filesystem::path& path, int64_t channels,
                          const std::string& where) {
  std::string bytes;
  try {
    bytes = read_file(path, kLargestFile);
  } catch (const DataError& error) {
    throw DataError(where + ": cannot be read (" + error.what() + ")");
  }
  if (bytes.empty()) throw DataError(where + ": is empty, expected an image");
  cv::Mat decoded;
  if (!ends_early(bytes)) decoded = decode(bytes, channels);
  if (decoded.empty()) {
    throw DataError(where + ": cannot be decoded, expected a complete image (PNG, JPEG, ...)");
  }
  DecodedImage image{decoded.rows, decoded.cols, channels, {}};
  image.values.resize(static_cast<size_t>(image.height * image.width * channels));
  cv::Mat target = view(image);
  if (channels == 3) {
    cv::cvtColor(decoded, target, cv::COLOR_BGR2RGB);
  } else {
    decoded.copyTo(target);
  }
  return image;
}

DecodedImage resampled(const DecodedImage& image, int64_t side) {
  const int64_t shorter = std::min(image.height, image.width);
  const auto scaled = [&](int64_t length) {
    return std::max(side, (length * side + shorter / 2) / shorter);
  };
  DecodedImage result{side, side, image.channels, {}};
  result.values.resize(static_cast<size_t>(side * side * image.channels));
  const int height = static_cast<int>(scaled(image.height));
  const int width = static_cast<int>(scaled(image.width));
  cv::Mat whole;
  cv::resize(view(image), whole, {width, height}, 0.0, 0.0,
             side < shorter ? cv::INTER_AREA : cv::INTER_LINEAR);
  const int edge = static_cast<int>(side);
  cv::Mat target = view(result);
  whole(cv::Rect((width - edge) / 2, (height - edge) / 2, edge, edge)).copyTo(target);
  return result;
}

}  // namespace lathe::supernet
