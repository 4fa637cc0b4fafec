#include <fstream>
#include <iterator>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>
#include <stdexcept>
#include <string>

#include "network.h"
#include "onnx_for_opencv.h"

namespace {

/// The part of OpenCV's message that says what is wrong.
std::runtime_error refused(const std::string& where, const cv::Exception& error) {
  return std::runtime_error(where + ": OpenCV " CV_VERSION " cannot run it: " + error.err);
}

class OpenCvNetwork : public Network {
 public:
  explicit OpenCvNetwork(const std::filesystem::path& file) : name_(file.string()) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in || bytes.empty()) throw std::runtime_error(name_ + ": cannot be read or is empty");
    try {
      // What is wrong is said once, by the exception.
      cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
      const std::string model = onnx_for_opencv(bytes);
      net_ = cv::dnn::readNetFromONNX(model.data(), model.size());
    } catch (const cv::Exception& error) {
      throw refused(name_, error);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(name_ + ": " + error.what());
    }
  }

  std::vector<float> logits(std::vector<float> image, int channels, int height,
                            int width) override {
    try {
      const std::vector<int> shape = {1, channels, height, width};
      net_.setInput(cv::Mat(shape, CV_32F, image.data()));
      const cv::Mat output = net_.forward().reshape(1, 1);
      return {output.begin<float>(), output.end<float>()};
    } catch (const cv::Exception& error) {
      throw refused(name_, error);
    }
  }

 private:
  std::string name_;
  cv::dnn::Net net_;
};

}  // namespace

std::unique_ptr<Network> load_network(const std::filesystem::path& file) {
  return std::make_unique<OpenCvNetwork>(file);
}
