#include "cli/pipeline/preprocessing.h"

#include <nlohmann/json.hpp>

namespace lathe::cli {

std::string preprocessing_json(const supernet::DataSummary& data, const network::Shape& input) {
  nlohmann::ordered_json json;
  json["input"] = {{"layout", "NCHW"},
                   {"channels", input.at(1)},
                   {"height", input.at(2)},
                   {"width", input.at(3)}};
  if (data.height != input.at(2) || data.width != input.at(3)) {
    json["resize"] = {{"height", data.height},
                      {"width", data.width},
                      {"then", "bilinear to the input's size: half-pixel centres, no antialiasing"}};
  }
  json["color"] = input.at(1) == 1 ? "grey" : "rgb";
  json["scale"] = "pixels divided by 255, then (x - mean) / std per channel";
  json["mean"] = data.mean;
  json["std"] = data.standard_deviation;
  json["classes"] = data.class_names;
  return json.dump(1) + "\n";
}

}  // namespace lathe::cli
