#include "search/space/block_family.h"

#include <map>

#include "search/space/blocks/families.h"

namespace lathe::search {
namespace {

const std::map<std::string, const BlockFamily*>& table() {
  static const std::map<std::string, const BlockFamily*> families = [] {
    std::map<std::string, const BlockFamily*> by_name;
    for (const BlockFamily* family :
         {&conv_family(), &conv_crelu_family(), &mbconv_family(), &residual_basic_family(), &residual_bottleneck_family(),
          &separable_family(), &shuffle_v1_family(), &shuffle_v2_family()}) {
      by_name[family->name()] = family;
    }
    return by_name;
  }();
  return families;
}

}  // namespace

std::string BlockFamily::fault(const BlockContext&, const Choices&) const { return ""; }

const std::vector<std::string>& block_family_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& entry : table()) all.push_back(entry.first);
    return all;
  }();
  return names;
}

const BlockFamily& block_family(const std::string& name) {
  const auto position = table().find(name);
  if (position == table().end()) throw InvariantError("no block family \"" + name + "\"");
  return *position->second;
}

OptionSpec kernel_option() {
  OptionSpec spec{"kernel", OptionKind::Integer, "3"};
  spec.integers = {1, 31, 1};
  spec.odd = true;
  return spec;
}

OptionSpec expand_option(const std::string& fallback) {
  OptionSpec spec{"expand", OptionKind::Real, fallback};
  spec.reals = {0.0, 16.0, true};
  return spec;
}

OptionSpec squeeze_excite_option() { return {"squeeze_excite", OptionKind::Boolean, "false"}; }

OptionSpec activation_option() { return {"activation", OptionKind::Activation, "relu"}; }

}  // namespace lathe::search
