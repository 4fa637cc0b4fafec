#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace lathe {

/// Returns `value` with all digits that tell it from every other double.
inline std::string exact_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  return text.data();
}

/// Returns `text_of(item)` of every item, with `separator` between two; empty for no items.
template <typename Items, typename TextOf>
std::string join(const Items& items, std::string_view separator, TextOf text_of) {
  std::string joined;
  bool first = true;
  for (const auto& item : items) {
    if (!first) joined += separator;
    first = false;
    joined += text_of(item);
  }
  return joined;
}

/// The same for items that are texts themselves.
template <typename Words>
std::string join(const Words& words, std::string_view separator) {
  return join(words, separator, [](std::string_view word) { return word; });
}

}  // namespace lathe
