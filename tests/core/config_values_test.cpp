#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/config.h"

namespace lathe {
namespace {

TEST_CASE("parse_duration_s knows its units and nothing else") {
  CHECK(parse_duration_s("20ms") == 0.02);
  CHECK(parse_duration_s("500us") == 0.0005);
  CHECK(parse_duration_s("1.5s") == 1.5);
  CHECK(parse_duration_s("30min") == 1800.0);
  CHECK(parse_duration_s("2h") == 7200.0);
  CHECK(parse_duration_s("0s") == 0.0);
  for (const char* text : {"", "20", "ms", "20 ms", "-1s", "+1s", "1e3s", ".5s", "5.s", "1.2.3s",
                           "20MS", "20msx", "0x10s", "inf s", "nans", "1d", " 1s", "1s "}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(parse_duration_s(text).has_value());
  }
}

TEST_CASE("parse_size_bytes is exact in decimal and binary units") {
  CHECK(parse_size_bytes("512B") == 512);
  CHECK(parse_size_bytes("64KB") == 64000);
  CHECK(parse_size_bytes("50MB") == 50000000);
  CHECK(parse_size_bytes("2GB") == 2000000000);
  CHECK(parse_size_bytes("1KiB") == 1024);
  CHECK(parse_size_bytes("0.5KiB") == 512);
  CHECK(parse_size_bytes("1.25GiB") == 1342177280);
  CHECK(parse_size_bytes("1.500000000GB") == 1500000000);
  CHECK(parse_size_bytes("9223372036854775807B") == INT64_MAX);
  for (const char* text :
       {"", "512", "B", "0.5B", "1.0001KB0", "9223372036854775808B", "9223372036854775GB", "1kb",
        "1TB", "-1B", "1 KB", "0.3KiB", "1.0000000001GB"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(parse_size_bytes(text).has_value());
  }
}

TEST_CASE("parse_count reads whole numbers only") {
  CHECK(parse_count("300") == 300);
  CHECK(parse_count("2k") == 2000);
  CHECK(parse_count("1.5M") == 1500000);
  CHECK(parse_count("4G") == 4000000000);
  CHECK(parse_count("1.234k") == 1234);
  for (const char* text : {"", "1.5", "1.2345k", "-2", "2K", "2m", "1e6", "k", "2kk",
                           "99999999999999999999", "9223372036854775807k"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(parse_count(text).has_value());
  }
}

TEST_CASE("nearest_name finds typing errors and nothing far") {
  const std::vector<std::string> names = {"population", "generations", "seed", "nsga2", "a"};
  CHECK(nearest_name("populaton", names) == "population");
  CHECK(nearest_name("popualtion", names) == "population");
  CHECK(nearest_name("Population", names) == "population");
  CHECK(nearest_name("seeed", names) == "seed");
  CHECK(nearest_name("nsga3", names) == "nsga2");
  CHECK(nearest_name("b", names).empty());
  CHECK(nearest_name("temperature", names).empty());
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name(std::string(100000, 'x'), names).empty());
  CHECK(nearest_name("seed", {}).empty());
  // Equally near names: the first one.
  CHECK(nearest_name("bat", {"cat", "hat"}) == "cat");
}

}  // namespace
}  // namespace lathe
