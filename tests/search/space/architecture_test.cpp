#include "search/space/architecture.h"

#include <doctest/doctest.h>

using lathe::DataError;
using lathe::search::Architecture;
using lathe::search::ArchitectureHash;

TEST_CASE("Architecture text round-trips") {
  const Architecture architecture{{0, 12, 65535, 3}};
  CHECK(architecture.to_string() == "0-12-65535-3");
  CHECK(Architecture::parse("0-12-65535-3") == architecture);
  CHECK(Architecture{}.to_string().empty());
  CHECK(Architecture::parse("") == Architecture{});
  CHECK(Architecture::parse("0") == Architecture{{0}});
}

TEST_CASE("Architecture::parse refuses everything that to_string does not write") {
  const char* expected = ", expected indices in [0, 65535] joined by '-', for example 0-2-1";
  const std::pair<const char*, int> bad[] = {
      {"-", 0},  {"1-", 2},    {"-1", 0},  {"1--2", 2}, {"1-2 ", 2},
      {" 1", 0}, {"65536", 0}, {"01", 0},  {"1-00", 2}, {"1,2", 0},
      {"+1", 0}, {"1.5", 0},   {"0x1", 0}, {"a", 0},    {"99999999999999999999", 0}};
  for (const auto& [text, position] : bad) {
    const std::string message = "architecture \"" + std::string(text) + "\": character " +
                                std::to_string(position) + expected;
    CHECK_THROWS_WITH_AS(Architecture::parse(text), message.c_str(), DataError);
  }
}

TEST_CASE("Architecture compares, orders and hashes by its genes") {
  const Architecture a{{1, 2}}, b{{1, 3}}, shorter{{1}};
  CHECK(a != b);
  CHECK(a < b);
  CHECK(shorter < a);
  CHECK(ArchitectureHash()(a) == ArchitectureHash()(Architecture{{1, 2}}));
  CHECK(ArchitectureHash()(a) != ArchitectureHash()(b));
  CHECK(ArchitectureHash()(shorter) != ArchitectureHash()(Architecture{{1, 0}}));
}
