#include "cli/text_table.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;

TEST_CASE("TextTable aligns words to the left and numbers to the right") {
  cli::TextTable table({"name", "ms"});
  table.add({"a", "10.5"});
  table.add({"bcdefg", "9"});
  CHECK(table.text() ==
        "name      ms\n"
        "------------\n"
        "a       10.5\n"
        "bcdefg     9\n");
}

TEST_CASE("TextTable counts characters, not bytes") {
  cli::TextTable table({"x", "y"});
  table.add({"\xC2\xB5s", "z"});
  CHECK(table.text() ==
        "x   y\n"
        "-----\n"
        "\xC2\xB5s  z\n");
}

TEST_CASE("TextTable refuses a row of another size") {
  cli::TextTable table({"x", "y"});
  CHECK(test::message_of<InvariantError>([&] { table.add({"1"}); }) ==
        "TextTable::add: cells = 1, expected 2");
}
