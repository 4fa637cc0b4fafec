#include "core/text.h"

#include <doctest/doctest.h>

#include <array>
#include <set>
#include <vector>

namespace lathe {
namespace {

TEST_CASE("join puts the separator between two words and nowhere else") {
  using Words = std::vector<std::string>;
  CHECK(join(Words{}, ", ") == "");
  CHECK(join(Words{"a"}, ", ") == "a");
  CHECK(join(Words{"a", "b", "c"}, ", ") == "a, b, c");
  CHECK(join(Words{"a", "b"}, "") == "ab");
}

TEST_CASE("join keeps empty words") {
  CHECK(join(std::vector<std::string>{"", "", ""}, "|") == "||");
  CHECK(join(std::vector<std::string>{"", "a"}, "|") == "|a");
}

TEST_CASE("join takes any range of texts") {
  CHECK(join(std::set<std::string>{"b", "a"}, "+") == "a+b");
  CHECK(join(std::array<const char*, 2>{"x", "y"}, " ") == "x y");
}

TEST_CASE("join takes what is no text by a function") {
  const std::array<int, 3> shape = {3, 28, 28};
  CHECK(join(shape, "x", [](int size) { return std::to_string(size); }) == "3x28x28");
}

}  // namespace
}  // namespace lathe
