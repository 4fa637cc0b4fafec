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
/// behind the beginning of its last scan.
bool is_cut_jpeg(const std::string& bytes) {
  if (bytes.compare(0, 2, "\xff\xd8") != 0) return false;
  const size_t end = bytes.rfind("\xff\xd9");
  const size_t scan = bytes.rfind("\xff\xda");
  return end == std::string::npos || scan == std::string::npos || end < scan;
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
  image = covering(image, wanted.height, wanted.width);
  // OpenCV has colours as BGR.
  if (wanted.channels == 3) cv::cvtColor(image, image, cv::COLOR_BGR2RGB);

  std::vector<float> values;
  values.reserve(image.total() * static_cast<size_t>(wanted.channels));
  for (int channel = 0; channel < wanted.channels; ++channel) {
    const auto index = static_cast<size_t>(channel);
    for (int row = 0; row < wanted.height; ++row) {
      const uint8_t* pixels = image.ptr<uint8_t>(row);
      for (int column = 0; column < wanted.width; ++column) {
        const float pixel = static_cast<float>(pixels[column * wanted.channels + channel]) / 255.0F;
        values.push_back((pixel - wanted.mean[index]) / wanted.std[index]);
      }
    }
  }
  return values;
}
