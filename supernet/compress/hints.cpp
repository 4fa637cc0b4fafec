#include "supernet/compress/hints.h"

#include <algorithm>

#include "core/error.h"

namespace lathe::supernet {
namespace {

using network::Network;
using network::Node;
using network::NodeId;

/// "stem, stage1, stage2, head": what names begin with.
std::string beginnings(const Network& network) {
  std::vector<std::string> found;
  for (const Node& node : network.nodes()) {
    const std::string first = node.name.substr(0, node.name.find('.'));
    if (node.shape.size() == 4 && std::find(found.begin(), found.end(), first) == found.end()) {
      found.push_back(first);
    }
  }
  std::string text;
  for (const std::string& name : found) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Returns the activation that alone follows the node, or the node itself.
NodeId activated(const Network& network, NodeId id) {
  if (network.use_counts()[static_cast<size_t>(id)] != 1) return id;
  for (const Node& node : network.nodes()) {
    const bool follows = std::find(node.inputs.begin(), node.inputs.end(), id) != node.inputs.end();
    if (follows) return std::holds_alternative<network::Activation>(node.op) ? node.id : id;
  }
  return id;
}

}  // namespace

NodeId hint_node(const Network& network, const std::string& name) {
  NodeId found = -1;
  for (const Node& node : network.nodes()) {
    if (node.name == name) {
      found = node.id;
      break;
    }
    if (node.name.rfind(name + ".", 0) == 0) found = node.id;
  }
  if (found < 0 || network.node(found).shape.size() != 4) {
    throw ConfigError("hint " + name + ": " +
                      (found < 0 ? "no such node or block"
                                 : "its shape = " + network::to_string(network.node(found).shape)) +
                      ", expected features with height and width, such as those of " +
                      beginnings(network));
  }
  return activated(network, found);
}

HintedNetwork with_regressors(const Network& student, const Network& teacher,
                              const std::vector<Hint>& hints) {
  HintedNetwork hinted{student, {}};
  const NodeId output = student.output();
  for (size_t h = 0; h < hints.size(); ++h) {
    NodeId feature = hint_node(student, hints[h].student);
    const int64_t wanted = teacher.node(hint_node(teacher, hints[h].teacher)).shape[1];
    if (student.node(feature).shape[1] != wanted) {
      network::Conv2d regressor;
      regressor.out_channels = wanted;
      regressor.bias = true;
      feature = hinted.network.add("hint" + std::to_string(h) + ".regressor", regressor, {feature});
    }
    hinted.features.push_back(feature);
  }
  hinted.network.set_output(output);
  return hinted;
}

}  // namespace lathe::supernet
