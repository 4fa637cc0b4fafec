#include <onnxruntime_cxx_api.h>

#include <array>
#include <fstream>
#include <stdexcept>
#include <string>

#include "network.h"

namespace {

class OnnxRuntimeNetwork : public Network {
 public:
  explicit OnnxRuntimeNetwork(const std::filesystem::path& file) : name_(file.string()) {
    if (!std::ifstream(file)) throw std::runtime_error(name_ + ": cannot be read");
    try {
      session_ = Ort::Session(environment_, file.c_str(), Ort::SessionOptions());
    } catch (const Ort::Exception& error) {
      throw refused(error);
    }
  }

  std::vector<float> logits(std::vector<float> image, int channels, int height,
                            int width) override {
    try {
      const std::array<int64_t, 4> shape = {1, channels, height, width};
      const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
      const auto input = Ort::Value::CreateTensor<float>(memory, image.data(), image.size(),
                                                         shape.data(), shape.size());
      Ort::AllocatorWithDefaultOptions allocator;
      const auto input_name = session_.GetInputNameAllocated(0, allocator);
      const auto output_name = session_.GetOutputNameAllocated(0, allocator);
      const char* in = input_name.get();
      const char* out = output_name.get();
      const auto outputs = session_.Run(Ort::RunOptions(), &in, &input, 1, &out, 1);
      const auto* values = outputs[0].GetTensorData<float>();
      return {values, values + outputs[0].GetTensorTypeAndShapeInfo().GetElementCount()};
    } catch (const Ort::Exception& error) {
      throw refused(error);
    }
  }

 private:
  std::runtime_error refused(const Ort::Exception& error) const {
    return std::runtime_error(name_ + ": ONNX Runtime cannot run it: " + error.what());
  }

  std::string name_;
  Ort::Env environment_{ORT_LOGGING_LEVEL_ERROR};
  Ort::Session session_{nullptr};
};

}  // namespace

std::unique_ptr<Network> load_network(const std::filesystem::path& file) {
  return std::make_unique<OnnxRuntimeNetwork>(file);
}
