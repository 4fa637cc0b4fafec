#include "network/architecture_json.h"

#include <doctest/doctest.h>

#include "network/digest.h"
#include "network/reference_networks.h"
#include "tests/support/message_of.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

Network tiny() {
  Network network;
  Conv2d conv;
  conv.out_channels = 2;
  network.add("conv", conv, {network.add_input("input", {1, 1, 4, 4})}, "shared");
  return network;
}

TEST_CASE("A network is written as readable JSON") {
  CHECK(to_json(tiny()) == R"({
 "format": "lathe.network",
 "version": 1,
 "output": "conv",
 "nodes": [
  {
   "name": "input",
   "operator": "input",
   "inputs": [],
   "parameters": [],
   "shape": [
    1,
    1,
    4,
    4
   ]
  },
  {
   "name": "conv",
   "operator": "conv2d",
   "out_channels": 2,
   "kernel": 1,
   "stride": 1,
   "padding": 0,
   "groups": 1,
   "bias": false,
   "activation": "identity",
   "inputs": [
    "input"
   ],
   "parameters": [
    {
     "name": "shared.weight",
     "shape": [
      2,
      1,
      1,
      1
     ]
    }
   ],
   "shape": [
    1,
    2,
    4,
    4
   ]
  }
 ]
}
)");
}

TEST_CASE("JSON gives the same network back") {
  const auto check = [](const Network& network) {
    const std::string text = to_json(network);
    const Network read = network_from_json(text);
    CHECK(to_json(read) == text);
    CHECK(digest(read, DigestKind::Computation) == digest(network, DigestKind::Computation));
    CHECK(read.output() == network.output());
  };
  const Rng root(8);
  for (uint64_t i = 0; i < 100; ++i) check(test::random_network(root.derive("json", i)));
  for (const std::string& name : reference_network_names()) check(reference_network(name));
}

TEST_CASE("Malformed JSON is refused with node and field") {
  const std::string good = to_json(tiny());
  struct Case {
    std::string from;
    std::string to;
    std::string message;
  };
  const std::vector<Case> cases = {
      {good, "{", "network: the text is not JSON"},
      {good, "[1, 2]", "network: [1,2], expected an object"},
      {good, "{}", "network: field format is missing"},
      {"lathe.network", "onnx", "network: field format = \"onnx\", expected lathe.network"},
      {"\"version\": 1", "\"version\": 2", "network: field version = 2, expected at most 1"},
      {"\"version\": 1", "\"version\": 1.0", "network: field version = 1.0, expected an integer"},
      {"\"output\": \"conv\"", "\"output\": \"c\"",
       "network: field output = \"c\", expected the name of a node"},
      {"\"version\"", "\"extra\": 0, \"version\"", "network: field extra is not known"},
      {"\"kernel\": 1", "\"kernel\": \"1\"",
       "network: node 1 (conv): field kernel = \"1\", expected an integer"},
      {"\"kernel\": 1", "\"kernel\": true",
       "network: node 1 (conv): field kernel = true, expected an integer"},
      {"\"kernel\": 1", "\"kernel\": 18446744073709551615",
       "network: node 1 (conv): field kernel = 18446744073709551615, expected an integer"},
      {"\"kernel\": 1", "\"kernel\": 9",
       "network: node 1 (conv): conv2d conv: input [1, 1, 4, 4], kernel 9, padding 0: the window "
       "is larger than the padded image"},
      {"\"kernel\": 1,", "", "network: node 1 (conv): field kernel is missing"},
      {"\"bias\": false", "\"bias\": 0",
       "network: node 1 (conv): field bias = 0, expected true or false"},
      {"\"bias\": false", "\"bias\": true",
       "network: node 1 (conv): field parameters = [{\"name\":\"shared.weight\","
       "\"shape\":[2,1,1,1]}], expected 2 of them"},
      {"\"identity\"", "\"gelu\"",
       "network: node 1 (conv): field activation: activation = gelu, expected one of identity, "
       "relu, relu6, hard_swish, swish, hard_sigmoid, sigmoid, negated_relu"},
      {"\"conv2d\"", "\"conv3d\"", "network: node 1 (conv): operator = conv3d is not known"},
      {"\"operator\": \"input\"", "\"operator\": \"flatten\"",
       "network: node 0 (input): flatten input: inputs 0, expected 1"},
      {"    \"input\"\n", "    \"inptu\"\n",
       "network: node 1 (conv): field inputs = \"inptu\", expected the name of an earlier node"},
      {"    \"input\"\n", "    7\n",
       "network: node 1 (conv): field inputs = 7, expected the name of an earlier node"},
      {"shared.weight", "shared.bias",
       "network: node 1 (conv): parameter 0: field name = \"shared.bias\", expected shared.weight"},
      {"      2,\n      1,\n", "      2,\n      3,\n",
       "network: node 1 (conv): parameter 0: field shape = [2,3,1,1], expected [2, 1, 1, 1]"},
      {"    1,\n    2,\n", "    1,\n    5,\n",
       "network: node 1 (conv): field shape = [1,5,4,4], expected [1, 2, 4, 4]"},
      {"\"stride\"", "\"dilation\": 1, \"stride\"",
       "network: node 1 (conv): field dilation is not known"},
  };
  for (const Case& each : cases) {
    std::string text = good;
    const size_t at = text.find(each.from);
    REQUIRE(at != std::string::npos);
    text.replace(at, each.from.size(), each.to);
    CHECK(test::message_of<DataError>([&] { network_from_json(text); }) == each.message);
  }
}

TEST_CASE("Truncated JSON never gives a network") {
  const std::string text = to_json(tiny());
  for (size_t size = 0; size + 2 < text.size(); ++size) {
    CHECK_THROWS_AS(network_from_json(text.substr(0, size)), DataError);
  }
}

}  // namespace
}  // namespace lathe::network
