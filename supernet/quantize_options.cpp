#include "supernet/quantize_options.h"

namespace lathe::supernet {
namespace {

void read_training(ConfigSection section, QuantizeOptions::Training& training) {
  training.epochs = section.real("epochs", training.epochs, {0.0, 10000.0});
  training.learning_rate = section.real("learning_rate", training.learning_rate, {0.0, 10.0, true});
  const std::string weights = section.choice("weights", "int8", {"int8", "binary"});
  training.binary_weights = weights == "binary";
  if (training.binary_weights && training.epochs == 0.0) {
    section.fault("weights", "int8, or epochs to train binary weights in");
  }
  section.finish();
}

}  // namespace

QuantizeConfig read_quantize_config(ConfigSection& compress) {
  QuantizeConfig config;
  QuantizeOptions& options = config.options;
  if (!compress.is_mapping("quantize")) {
    config.enabled = compress.choice("quantize", "none", {"int8", "none"}) == "int8";
    return config;
  }
  ConfigSection section = compress.section("quantize");
  config.enabled = section.choice("precision", "int8", {"int8", "none"}) == "int8";
  const std::string observer = section.choice("observer", network::to_string(options.range.method),
                                              network::range_method_names());
  options.range.method = network::range_method_from_string(observer);
  options.range.percentile = section.real("percentile", options.range.percentile, {50.0, 100.0});
  options.range.moving_share =
      section.real("moving_share", options.range.moving_share, {0.0, 1.0, true});
  options.calibration_images =
      section.count("calibration_images", options.calibration_images, {1, 1'000'000'000});
  options.clip_weights = section.boolean("clip_weights", options.clip_weights);
  options.equalize = section.boolean("equalize", options.equalize);
  options.correct_bias = section.boolean("correct_bias", options.correct_bias);
  options.max_loss = section.real("max_loss", options.max_loss, {0.0, 1.0});
  options.float_layers = section.integer("float_layers", options.float_layers, {0, 10'000});
  options.sensitivity_images =
      section.count("sensitivity_images", options.sensitivity_images, {0, 1'000'000'000});
  if (options.float_layers > 0 && options.sensitivity_images == 0) {
    section.fault("sensitivity_images", "some, as float_layers are chosen by them");
  }
  read_training(section.section("training"), options.training);
  section.finish();
  return config;
}

}  // namespace lathe::supernet
