#include "image_tensor.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <string>

namespace {

/// libjpeg paints what is missing of a file grey and only warns. A whole file has an end marker
/// behind a scan. Segments are stepped over by their lengths: one may hold a thumbnail. (lathe's
/// own reader does the same; this folder stands alone.)
bool is_cut_jpeg(const std::string& bytes) {
  if (bytes.compare(0, 2, "\xff\xd8") != 0) return false;
  const auto byte = [&bytes](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  bool has_scan = false;
  for (size_t at = 2; at + 1 < bytes.size();) {
    const int marker = byte(at) == 0xff ? byte(at + 1) : 0;
    if (marker == 0xd9) return !has_scan;
    has_scan = has_scan || marker == 0xda;
    const bool has_length = marker >= 0xc0 && marker != 0xff && (marker < 0xd0 || marker > 0xd8);
    if (has_length && at + 3 >= bytes.size()) return true;
    at += has_length ? 2 + 256 * size_t{byte(at + 2)} + byte(at + 3) : 1;
  }
  return true;
}

cv::Mat decode(const std::string& bytes, int channels) {
  if (bytes.empty() || is_cut_jpeg(bytes)) return {};
  const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
  try {
    return cv::imdecode(raw, channels == 1 ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
  } catch (const cv::Exception&) {  // damaged, or larger than OpenCV takes
    return {};
  }
}

/// Returns the centre of the image after it was scaled to just cover height x width.
cv::Mat covering(const cv::Mat& image, int height, int width) {
  if (image.rows == height && image.cols == width) return image;
  const double scale =
      std::max(static_cast<double>(height) / image.rows, static_cast<double>(width) / image.cols);
  const auto scaled = [scale](int length, int at_least) {
    return std::max(at_least, static_cast<int>(std::lround(length * scale)));
  };
  const cv::Size size(scaled(image.cols, width), scaled(image.rows, height));
  cv::Mat whole;
  cv::resize(image, whole, size, 0.0, 0.0, scale < 1.0 ? cv::INTER_AREA : cv::INTER_LINEAR);
  return whole({(size.width - width) / 2, (size.height - height) / 2, width, height});
}

}  // namespace

std::vector<float> image_tensor(const std::filesystem::path& file, const Preprocessing& wanted) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(file.string() + ": cannot be read, expected an image file");
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  cv::Mat image = decode(bytes, wanted.channels);
  if (image.empty()) {
    throw std::runtime_error(file.string() +
                             ": cannot be decoded, expected a complete image (PNG, JPEG, ...)");
  }
  // As lathe trained: first the size of the data set's images, then in floats the input's.
  image = covering(image, wanted.image_height, wanted.image_width);
  // OpenCV has colours as BGR.
  if (wanted.channels == 3) cv::cvtColor(image, image, cv::COLOR_BGR2RGB);
  image.convertTo(image, CV_MAKETYPE(CV_32F, wanted.channels), 1.0 / 255.0);
  if (image.rows != wanted.height || image.cols != wanted.width) {
    cv::resize(image, image, {wanted.width, wanted.height}, 0.0, 0.0, cv::INTER_LINEAR);
  }

  std::vector<float> values;
  values.reserve(image.total() * static_cast<size_t>(wanted.channels));
  for (int channel = 0; channel < wanted.channels; ++channel) {
    const auto index = static_cast<size_t>(channel);
    for (int row = 0; row < wanted.height; ++row) {
      const float* pixels = image.ptr<float>(row);
      for (int column = 0; column < wanted.width; ++column) {
        const float pixel = pixels[column * wanted.channels + channel];
        values.push_back((pixel - wanted.mean[index]) / wanted.std[index]);
      }
    }
  }
  return values;
}
