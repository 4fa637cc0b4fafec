#include <doctest/doctest.h>

#include <fstream>

#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

/// The message of the ConfigError that reading `text` gives.
std::string message_of(const std::string& text) {
  try {
    read_search_space_text(text, "s.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

/// The families' names as messages list them.
std::string families() {
  std::string list;
  for (const std::string& name : block_family_names()) list += (list.empty() ? "" : ", ") + name;
  return list;
}

const std::string kStart = "input: {resolution: 8}\nclasses: 2\nstem: {width: 8}\n";

TEST_CASE("A file with many faults names them all, in file order") {
  CHECK(message_of(R"(name: 3
input: {channels: 0, resolution: [8, 8], depth: 3}
stem: {width: [8, 0], kernel: 4, stide: 2}
stages:
  - {block: mbconf, width: 8}
  - {name: Stage, block: mbconv, depth: [], width: [8, x], kernel: [3, 6], expand: 0, squeze: input}
  - {name: head, block: mbconv, width: 8, squeeze: [input, expanded], squeeze_excite: 1}
head: {width: [0, 64], activation: gelu}
batch_norm: {epsilon: 0}
colour: red
)") == R"(s.yaml:1: /name = 3, expected a text (write "3" with its quotes)
s.yaml:1: /classes is missing, expected an integer in [2, 1000000]
s.yaml:2: /input/channels = 0, expected an integer in [1, 1024]
s.yaml:2: /input/resolution = [8, 8], expected each option once
s.yaml:2: /input/depth = 3, expected one of the keys channels, resolution
s.yaml:3: /stem/width/1 = 0, expected an integer in [1, 65536]
s.yaml:3: /stem/kernel = 4, expected an odd number
s.yaml:3: /stem/stide = 2, expected a known key (did you mean "stride"?)
s.yaml:5: /stages/0/block = mbconf, expected one of )" +
            families() + R"( (did you mean "mbconv"?)
s.yaml:6: /stages/1/name = Stage, expected lower-case letters, digits and '_'
s.yaml:6: /stages/1/depth = [], expected at least one option
s.yaml:6: /stages/1/width/1 = x, expected an integer in [1, 65536]
s.yaml:6: /stages/1/kernel = [3, 6], expected odd numbers
s.yaml:6: /stages/1/expand = 0, expected a number in (0, 16]
s.yaml:6: /stages/1/squeze = input, expected a known key (did you mean "squeeze"?)
s.yaml:7: /stages/2/name = head, expected a name that no other part has
s.yaml:7: /stages/2/squeeze = [input, expanded], expected a single value
s.yaml:7: /stages/2/squeeze_excite = 1, expected true or false
s.yaml:8: /head/width = [0, 64], expected widths of at least 1 in a list (0 alone leaves the layer out)
s.yaml:8: /head/activation = gelu, expected one of relu, relu6, hard_swish, swish, hard_sigmoid, sigmoid (did you mean "relu"?)
s.yaml:9: /batch_norm/epsilon = 0, expected a number in (0, 1]
s.yaml:10: /colour = red, expected one of the keys batch_norm, cell, classes, head, input, name, stages, stem)");
}

TEST_CASE("Missing keys are named with what they should hold") {
  CHECK(message_of("stages:\n  - {depth: 2}\n") ==
        R"(s.yaml:1: /classes is missing, expected an integer in [2, 1000000]
s.yaml:1: /input/resolution is missing, expected an integer in [1, 4096]
s.yaml:1: /stem/width is missing, expected an integer in [1, 65536]
s.yaml:2: /stages/0/width is missing, expected an integer in [1, 65536]
s.yaml:2: /stages/0/block is missing, expected one of )" +
            families());
  CHECK(message_of(kStart) ==
        "s.yaml:1: /stages is missing, expected a list of at least one stage");
  CHECK(message_of(kStart + "stages: {block: mbconv}\n") ==
        "s.yaml:4: /stages = {block: ...}, expected a list of mappings");
}

TEST_CASE("Stages with one name are refused") {
  CHECK(message_of(kStart + "stages:\n  - {block: mbconv, width: 8}\n  - {name: stage1, block: "
                            "mbconv, width: 8}\n") ==
        "s.yaml:6: /stages/1/name = stage1, expected a name that no other part has");
}

TEST_CASE("A stage needs a known family, each once, with options of its own") {
  CHECK(message_of(kStart + "stages: [{block: [], width: 8}]\n") ==
        "s.yaml:4: /stages/0/block = [], expected at least one family");
  CHECK(message_of(kStart + "stages: [{block: [mbconv, convv], width: 8, kernel: 3}]\n") ==
        "s.yaml:4: /stages/0/block/1 = convv, expected one of " + families() +
            " (did you mean \"conv\"?)");
  CHECK(message_of(kStart + "stages: [{block: [mbconv, conv, mbconv], width: 8}]\n") ==
        "s.yaml:4: /stages/0/block = [mbconv, conv, mbconv], expected each family once");
  CHECK(message_of(kStart + "stages: [{block: [mbconv, conv], width: 8, conv: {expand: 3}}]\n") ==
        "s.yaml:4: /stages/0/conv/expand = 3, expected one of the keys activation, kernel");
  CHECK(message_of(kStart + "stages: [{block: [mbconv, conv], width: 8, mbconv: [3]}]\n") ==
        "s.yaml:4: /stages/0/mbconv = [3], expected a mapping");
}

TEST_CASE("A stage with too many combinations is refused before anything is built") {
  std::string expansions;
  for (int i = 1; i <= 1000; ++i) expansions += (i == 1 ? "" : ", ") + std::to_string(i) + "e-2";
  CHECK(message_of(
            kStart +
            "stages: [{block: mbconv, width: [8, 16, 24], kernel: [3, 5, 7, 9, 11], expand: [" +
            expansions + "], squeeze_excite: [true, false]}]\n") ==
        "s.yaml:4: /stages/0/block = mbconv, expected at most 50000 combinations of one block's "
        "options and "
        "widths; there are 60000");
}

TEST_CASE("Activations that nothing uses are refused") {
  CHECK(message_of(kStart +
                   "stages: [{block: mbconv, width: 8}]\nhead: {activation: [relu, swish]}\n") ==
        "s.yaml:5: /head/activation = [relu, swish], expected one activation: without width and "
        "hidden it is not used");
}

TEST_CASE("A list of one option is the same as the option") {
  const auto listed = space_from(
      "{input: {channels: 3, resolution: [8]}, classes: 2, stem: {width: [8]}, stages: [{block: "
      "mbconv, "
      "width: [8], kernel: [3], expand: [6], squeeze_excite: [false]}]}");
  CHECK(listed->count() == "1");
}

TEST_CASE("JSON and overrides read as YAML does") {
  const auto path = std::filesystem::temp_directory_path() / "lathe_space_reader_test.json";
  std::ofstream(path) << R"({"input": {"channels": 1, "resolution": [8, 16]}, "classes": 10,
 "stem": {"width": 8}, "stages": [{"block": "mbconv", "width": 8, "kernel": [3, 5]}]})";
  const auto space = read_search_space(path, {"stages.0.kernel=[3, 5, 7]", "classes=4"});
  std::filesystem::remove(path);
  CHECK(space->name() == "lathe_space_reader_test");
  CHECK(space->count() == "6");
  CHECK(space->lower(space->largest()).output_shape() == network::Shape{1, 4});
}

}  // namespace
}  // namespace lathe::search
