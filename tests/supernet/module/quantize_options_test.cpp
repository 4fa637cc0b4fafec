#include "supernet/quantize_options.h"

#include <doctest/doctest.h>

#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;
using test::message_of;

namespace {

QuantizeConfig read(const std::string& text) {
  const ConfigDocument document = ConfigDocument::read_text("compress: " + text, "c.yaml");
  ConfigSection compress = document.root().section("compress");
  const QuantizeConfig config = read_quantize_config(compress);
  compress.finish();
  document.throw_if_faults();
  return config;
}

std::string refusal(const std::string& text) {
  return message_of<ConfigError>([&] { read(text); });
}

}  // namespace

TEST_CASE("quantize is off by default, and int8 in short means all defaults") {
  CHECK_FALSE(read("{}").enabled);
  CHECK_FALSE(read("{quantize: none}").enabled);
  CHECK_FALSE(read("{quantize: {precision: none, observer: mse}}").enabled);
  const QuantizeConfig defaults = read("{quantize: int8}");
  CHECK(defaults.enabled);
  CHECK(defaults.options.range.method == network::RangeMethod::Mse);
  CHECK(defaults.options.training.epochs == 0.0);
  CHECK(read("{quantize: {}}").enabled);
}

TEST_CASE("quantize is read with all its keys") {
  const QuantizeConfig config = read(
      "{quantize: {observer: percentile, percentile: 99.9, moving_share: 0.2, calibration_images: "
      "1k, "
      "clip_weights: true, equalize: true, correct_bias: false, max_loss: 0.003, float_layers: 4, "
      "sensitivity_images: 64, training: {epochs: 2, learning_rate: 0.01, weights: binary}}}");
  const QuantizeOptions& options = config.options;
  CHECK(config.enabled);
  CHECK(options.range.method == network::RangeMethod::Percentile);
  CHECK(options.range.percentile == 99.9);
  CHECK(options.range.moving_share == 0.2);
  CHECK(options.calibration_images == 1000);
  CHECK(options.clip_weights);
  CHECK(options.equalize);
  CHECK_FALSE(options.correct_bias);
  CHECK(options.max_loss == 0.003);
  CHECK(options.float_layers == 4);
  CHECK(options.sensitivity_images == 64);
  CHECK(options.training.epochs == 2.0);
  CHECK(options.training.learning_rate == 0.01);
  CHECK(options.training.binary_weights);
}

TEST_CASE("What quantize does not take is said with its place") {
  CHECK(refusal("{quantize: int4}") ==
        "c.yaml:1: /compress/quantize = int4, expected one of int8, none (did you mean \"int8\"?)");
  CHECK(refusal("{quantize: {observer: best}}").find("/compress/quantize/observer = best") !=
        std::string::npos);
  CHECK(refusal("{quantize: {percentile: 20}}").find("/compress/quantize/percentile = 20") !=
        std::string::npos);
  CHECK(refusal("{quantize: {equalise: true}}").find("equalize") != std::string::npos);
  CHECK(refusal("{quantize: {training: {weights: binary}}}") ==
        "c.yaml:1: /compress/quantize/training/weights = binary, expected int8, or epochs to train "
        "binary weights in");
  CHECK(refusal("{quantize: {float_layers: 2, sensitivity_images: 0}}") ==
        "c.yaml:1: /compress/quantize/sensitivity_images = 0, expected some, as float_layers are "
        "chosen by them");
}
