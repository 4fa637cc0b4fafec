#include "network/architecture_json.h"

#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "network/operator_fields.h"

namespace lathe::network {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "lathe.network";
constexpr int64_t kVersion = 1;

// Writing.

struct FieldWriter {
  Json& object;
  void operator()(const char* name, ActivationKind kind) const { object[name] = to_string(kind); }
  template <typename Value>
  void operator()(const char* name, const Value& value) const {
    object[name] = value;
  }
};

Json to_object(const Network& network, const Node& node) {
  Json object;
  object["name"] = node.name;
  object["operator"] = operator_name(node.op);
  std::visit([&object](const auto& op) { for_each_field(op, FieldWriter{object}); }, node.op);
  object["inputs"] = Json::array();
  for (const NodeId id : node.inputs) object["inputs"].push_back(network.node(id).name);
  object["parameters"] = Json::array();
  for (const Parameter& parameter : node.parameters) {
    object["parameters"].push_back({{"name", parameter.name}, {"shape", parameter.shape}});
  }
  object["shape"] = node.shape;
  return object;
}

// Reading.

/// Shortens a value for a message.
std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;
}

/// One object of the file; every field is asked for by type, and those that nobody asked for are
/// errors.
class ObjectReader {
 public:
  ObjectReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(shown(object) + ", expected an object");
  }

  const Json& field(const std::string& name) {
    read_.insert(name);
    const auto found = object_.find(name);
    if (found == object_.end()) fail("field " + name + " is missing");
    return *found;
  }
  std::string text(const std::string& name) {
    const Json& value = field(name);
    if (!value.is_string()) fail_field(name, value, "text");
    return value.get<std::string>();
  }
  int64_t integer(const std::string& name) {
    const Json& value = field(name);
    if (!is_integer(value)) fail_field(name, value, "an integer");
    return value.get<int64_t>();
  }
  double real(const std::string& name) {
    const Json& value = field(name);
    if (!value.is_number()) fail_field(name, value, "a number");
    return value.get<double>();
  }
  bool boolean(const std::string& name) {
    const Json& value = field(name);
    if (!value.is_boolean()) fail_field(name, value, "true or false");
    return value.get<bool>();
  }
  const Json& array(const std::string& name) {
    const Json& value = field(name);
    if (!value.is_array()) fail_field(name, value, "an array");
    return value;
  }
  Shape shape(const std::string& name) {
    Shape result;
    for (const Json& dimension : array(name)) {
      if (!is_integer(dimension)) fail_field(name, dimension, "integers");
      result.push_back(dimension.get<int64_t>());
    }
    return result;
  }
  void finish() const {
    for (const auto& [name, value] : object_.items()) {
      if (read_.count(name) == 0) fail("field " + name + " is not known");
    }
  }

  [[noreturn]] void fail(const std::string& what) const { throw DataError(where_ + ": " + what); }
  [[noreturn]] void fail_field(const std::string& name, const Json& value,
                               const std::string& expected) const {
    fail("field " + name + " = " + shown(value) + ", expected " + expected);
  }

 private:
  static bool is_integer(const Json& value) {
    if (!value.is_number_integer()) return false;
    return !value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX};
  }
  const Json& object_;
  std::string where_;
  std::set<std::string> read_;
};

struct FieldReader {
  ObjectReader& object;
  void operator()(const char* name, int64_t& value) const { value = object.integer(name); }
  void operator()(const char* name, double& value) const { value = object.real(name); }
  void operator()(const char* name, bool& value) const { value = object.boolean(name); }
  void operator()(const char* name, ActivationKind& value) const {
    try {
      value = activation_from_string(object.text(name));
    } catch (const ConfigError& error) {
      object.fail(std::string("field ") + name + ": " + error.what());
    }
  }
};

/// Returns a default operator called `name`, trying the alternatives of the variant in turn.
template <size_t Index = 0>
Operator operator_named(const std::string& name, ObjectReader& object) {
  if constexpr (Index == std::variant_size_v<Operator>) {
    object.fail("operator = " + name + " is not known");
  } else {
    Operator op{std::in_place_index<Index>};
    return name == operator_name(op) ? op : operator_named<Index + 1>(name, object);
  }
}

std::string read_prefix(const Json& parameters, const std::string& node_name,
                        const std::string& where) {
  if (parameters.empty()) return node_name;
  const std::string name = ObjectReader(parameters[0], where + ": parameter 0").text("name");
  return name.substr(0, name.rfind('.'));
}

/// The stored shapes and parameters must be those that the operators imply.
void check_node(const Node& node, const Json& parameters, ObjectReader& object,
                const std::string& where) {
  if (parameters.size() != node.parameters.size()) {
    object.fail_field("parameters", parameters,
                      std::to_string(node.parameters.size()) + " of them");
  }
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    ObjectReader reader(parameters[i], where + ": parameter " + std::to_string(i));
    const Parameter& expected = node.parameters[i];
    if (reader.text("name") != expected.name) {
      reader.fail_field("name", reader.field("name"), expected.name);
    }
    if (reader.shape("shape") != expected.shape) {
      reader.fail_field("shape", reader.field("shape"), to_string(expected.shape));
    }
    reader.finish();
  }
  if (object.shape("shape") != node.shape) {
    object.fail_field("shape", object.field("shape"), to_string(node.shape));
  }
}

void read_node(const Json& json, size_t index, std::map<std::string, NodeId>& ids,
               Network& network) {
  const std::string number = "network: node " + std::to_string(index);
  const std::string name = ObjectReader(json, number).text("name");
  const std::string where = number + " (" + name + ")";
  ObjectReader object(json, where);
  object.text("name");
  Operator op = operator_named(object.text("operator"), object);
  std::visit([&object](auto& each) { for_each_field(each, FieldReader{object}); }, op);
  std::vector<NodeId> inputs;
  for (const Json& input : object.array("inputs")) {
    const auto found = input.is_string() ? ids.find(input.get<std::string>()) : ids.end();
    if (found == ids.end()) object.fail_field("inputs", input, "the name of an earlier node");
    inputs.push_back(found->second);
  }
  const Json& parameters = object.array("parameters");
  NodeId id = -1;
  try {
    if (std::holds_alternative<Input>(op)) {
      id = network.add_input(name, object.shape("shape"));
    } else {
      id = network.add(name, op, inputs, read_prefix(parameters, name, where));
    }
  } catch (const InvariantError& error) {
    object.fail(error.what());
  }
  check_node(network.node(id), parameters, object, where);
  object.finish();
  ids[name] = id;
}

}  // namespace

std::string to_json(const Network& network) {
  Json root;
  root["format"] = kFormat;
  root["version"] = kVersion;
  root["output"] = network.node(network.output()).name;
  root["nodes"] = Json::array();
  for (const Node& node : network.nodes()) root["nodes"].push_back(to_object(network, node));
  return root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Network network_from_json(const std::string& text) {
  const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) throw DataError("network: the text is not JSON");
  ObjectReader object(root, "network");
  if (object.text("format") != kFormat) {
    object.fail_field("format", object.field("format"), kFormat);
  }
  const int64_t version = object.integer("version");
  if (version < 1 || version > kVersion) {
    object.fail_field("version", object.field("version"), "at most " + std::to_string(kVersion));
  }
  const std::string output = object.text("output");
  const Json& nodes = object.array("nodes");
  object.finish();
  Network network;
  std::map<std::string, NodeId> ids;
  for (size_t i = 0; i < nodes.size(); ++i) read_node(nodes[i], i, ids, network);
  const auto found = ids.find(output);
  if (found == ids.end()) {
    object.fail_field("output", object.field("output"), "the name of a node");
  }
  network.set_output(found->second);
  return network;
}

}  // namespace lathe::network
