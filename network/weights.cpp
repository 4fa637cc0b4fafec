#include <cmath>
#include <string>

#include "core/rng.h"
#include "network/network.h"

namespace lathe::network {
namespace {

/// What parameters other than weights start with.
float constant_of_role(const std::string& role) {
  return role == "gamma" || role == "variance" ? 1.0F : 0.0F;
}

/// He-normal for rectifiers: standard deviation sqrt(2 / fan_in) (He et al., 2015).
void fill_he_normal(Tensor& tensor, Rng rng) {
  const int64_t fan_in = element_count(tensor.shape) / tensor.shape[0];
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  for (float& value : tensor.values) value = static_cast<float>(deviation * rng.normal());
}

/// Names the roles of a node's parameters in their fixed order.
std::string role_of(const Node& node, size_t index) {
  static const char* const kNormalisation[] = {"gamma", "beta", "mean", "variance"};
  if (std::holds_alternative<BatchNorm>(node.op)) return kNormalisation[index];
  return index == 0 ? "weight" : "bias";
}

}  // namespace

void check_weights(const Network& network, const Weights& weights) {
  for (const Node& node : network.nodes()) {
    for (const Parameter& parameter : node.parameters) {
      const std::string where =
          std::string(operator_name(node.op)) + " " + node.name + ": parameter " + parameter.name;
      const auto found = weights.find(parameter.name);
      if (found == weights.end()) throw InvariantError(where + " has no value");
      const Tensor& tensor = found->second;
      if (tensor.shape != parameter.shape) {
        throw InvariantError(where + " has shape " + to_string(tensor.shape) + ", expected " +
                             to_string(parameter.shape));
      }
      if (tensor.values.size() != static_cast<size_t>(element_count(parameter.shape))) {
        throw InvariantError(where + " has " + std::to_string(tensor.values.size()) +
                             " values, expected " + to_string(parameter.shape));
      }
    }
  }
}

Weights random_weights(const Network& network, uint64_t seed) {
  const Rng root(seed);
  Weights weights;
  for (const Node& node : network.nodes()) {
    for (size_t i = 0; i < node.parameters.size(); ++i) {
      const Parameter& parameter = node.parameters[i];
      const auto count = static_cast<size_t>(element_count(parameter.shape));
      const std::string role = role_of(node, i);
      Tensor tensor{parameter.shape, std::vector<float>(count, constant_of_role(role))};
      if (role == "weight") {
        fill_he_normal(tensor, root.derive(parameter.name + to_string(parameter.shape)));
      }
      const auto [place, added] = weights.emplace(parameter.name, std::move(tensor));
      if (!added && place->second.shape != parameter.shape) {
        throw InvariantError(std::string(operator_name(node.op)) + " " + node.name +
                             ": parameter " + parameter.name + " has shape " +
                             to_string(parameter.shape) + ", another node gives it " +
                             to_string(place->second.shape));
      }
    }
  }
  return weights;
}

}  // namespace lathe::network
