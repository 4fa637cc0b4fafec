#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "network/digest.h"
#include "search/space/search_space.h"
#include "search/space/staged_space.h"

namespace lathe::search {

inline std::unique_ptr<StagedSpace> space_from(const std::string& text) {
  return std::unique_ptr<StagedSpace>(
      static_cast<StagedSpace*>(read_search_space_text(text, "test.yaml").release()));
}

/// Two stages with elastic everything, 2 * 2 * ... genotypes few enough to enumerate. With 8
/// channels coming in, the expansions 2.3, 2.5 and 3 all round to 24; with 16 the first two
/// give 40.
inline const char* kSmallSpace = R"(
name: small
input: {channels: 1, resolution: [8, 12]}
classes: 3
stem: {width: [8, 16], activation: relu}
stages:
  - {block: mbconv, depth: [1, 2], width: [8, 16], kernel: [3, 5], expand: [2.3, 2.5, 3], stride: 1}
  - {block: mbconv, depth: 1, width: 16, expand: [1, 2], squeeze_excite: [false, true], stride: 2}
)";

/// Every genotype of the space, canonical or not.
inline std::vector<Architecture> all_genotypes(const SearchSpace& space) {
  std::vector<Architecture> all(1);
  for (const Gene& gene : space.genes()) {
    std::vector<Architecture> longer;
    for (const Architecture& start : all) {
      for (size_t option = 0; option < gene.options.size(); ++option) {
        longer.push_back(start);
        longer.back().genes.push_back(static_cast<uint16_t>(option));
      }
    }
    all = std::move(longer);
  }
  return all;
}

inline network::Digest digest_of(const SearchSpace& space, const Architecture& architecture) {
  return network::digest(space.lower(architecture), network::DigestKind::Computation);
}

/// Returns the first parameter of the network that is not a slice of a shared tensor: too large, of
/// another rank, or with a kernel that cannot be cut from the centre. Empty if all are.
inline std::string misfit(const std::map<std::string, network::Shape>& shared,
                          const network::Network& network) {
  for (const network::Node& node : network.nodes()) {
    for (const network::Parameter& parameter : node.parameters) {
      const auto full = shared.find(parameter.name);
      if (full == shared.end()) return parameter.name + " is not shared";
      bool fits = full->second.size() == parameter.shape.size();
      for (size_t d = 0; fits && d < parameter.shape.size(); ++d) {
        fits = parameter.shape[d] <= full->second[d] &&
               (d < 2 || (full->second[d] - parameter.shape[d]) % 2 == 0);
      }
      if (!fits) return parameter.name + " " + network::to_string(parameter.shape);
    }
  }
  return "";
}

}  // namespace lathe::search
