#include "preprocessing.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace {

using nlohmann::json;

constexpr int kLargestSide = 16384;

/// Reads values of one file and says which of them is wrong.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(file.string()) {}

  [[noreturn]] void fail(const std::string& fault) const {
    throw std::runtime_error(file_ + ": " + fault);
  }

  const json& member(const json& object, const std::string& key) const {
    if (!object.is_object() || !object.contains(key)) fail("\"" + key + "\" is missing");
    return object.at(key);
  }

  std::string text(const json& object, const std::string& key) const {
    const json& value = member(object, key);
    if (!value.is_string()) fail("\"" + key + "\" = " + value.dump() + ", expected a text");
    return value.get<std::string>();
  }

  int size(const json& object, const std::string& key) const {
    const json& value = member(object, key);
    // is_number_integer() first: get<int>() would make 3 of 3.9.
    if (!value.is_number_integer() || value < 1 || value > kLargestSide) {
      fail("\"" + key + "\" = " + value.dump() + ", expected an integer in [1, " +
           std::to_string(kLargestSide) + "]");
    }
    return value.get<int>();
  }

  std::vector<float> numbers(const json& object, const std::string& key, int count) const {
    const json& values = member(object, key);
    const std::string expected = ", expected " + std::to_string(count) + " numbers, one a channel";
    if (!values.is_array() || values.size() != static_cast<size_t>(count)) {
      fail("\"" + key + "\" = " + values.dump() + expected);
    }
    std::vector<float> result;
    for (const json& value : values) {
      if (!value.is_number() || !std::isfinite(value.get<float>())) {
        fail("\"" + key + "\" = " + values.dump() + expected);
      }
      result.push_back(value.get<float>());
    }
    return result;
  }

  std::vector<std::string> names(const json& object, const std::string& key) const {
    const json& values = member(object, key);
    if (!values.is_array() || values.empty()) fail("\"" + key + "\": expected a list of names");
    std::vector<std::string> result;
    for (const json& value : values) {
      if (!value.is_string()) fail("\"" + key + "\": " + value.dump() + " is not a name");
      result.push_back(value.get<std::string>());
    }
    return result;
  }

 private:
  std::string file_;
};

}  // namespace

Preprocessing read_preprocessing(const std::filesystem::path& file) {
  const Reader reader(file);
  std::ifstream in(file);
  if (!in) reader.fail("cannot be read; lathe writes it beside model.onnx, copy both");
  const json root = json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) reader.fail("is not valid JSON; copy it again from the exported folder");

  Preprocessing result;
  const json& input = reader.member(root, "input");
  const std::string layout = reader.text(input, "layout");
  if (layout != "NCHW") reader.fail("\"layout\" = \"" + layout + "\", expected \"NCHW\"");
  result.channels = reader.size(input, "channels");
  result.height = reader.size(input, "height");
  result.width = reader.size(input, "width");
  result.image_height = result.height;
  result.image_width = result.width;
  if (root.contains("resize")) {
    result.image_height = reader.size(root["resize"], "height");
    result.image_width = reader.size(root["resize"], "width");
  }
  const std::string color = reader.text(root, "color");
  if (!(color == "grey" && result.channels == 1) && !(color == "rgb" && result.channels == 3)) {
    reader.fail("\"color\" = \"" + color + "\" with " + std::to_string(result.channels) +
                " channels, expected \"grey\" with 1 or \"rgb\" with 3");
  }
  result.mean = reader.numbers(root, "mean", result.channels);
  result.std = reader.numbers(root, "std", result.channels);
  for (const float deviation : result.std) {
    if (deviation <= 0.0F) reader.fail("\"std\": expected numbers above 0");
  }
  result.classes = reader.names(root, "classes");
  return result;
}
