// configs/spaces/README.md states what each ready space is; the figures are checked here.

#include <doctest/doctest.h>

#include "core/file.h"
#include "core/progress.h"
#include "network/cost.h"
#include "tests/search/space/space_support.h"

namespace lathe::search {
namespace {

std::string cost_text(const SearchSpace& space, const Architecture& architecture) {
  const network::Cost cost = network::cost(space.lower(architecture));
  return format_count(static_cast<double>(cost.macs)) + " / " +
         format_count(static_cast<double>(cost.params));
}

/// "120960" as it is, "127802880" as "1.2e8" (digits after the first two are cut).
std::string short_count(const std::string& digits) {
  if (digits.size() <= 6) return digits;
  return digits.substr(0, 1) + "." + digits.substr(1, 1) + "e" + std::to_string(digits.size() - 1);
}

TEST_CASE("The README lists every ready space with its true figures") {
  const std::string folder = LATHE_SOURCE_DIR "/configs/spaces";
  const std::string readme = read_file(folder + "/README.md");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    const auto space = read_search_space(entry.path());
    const std::string row = "| `" + space->name() + "` | " + std::to_string(space->genes().size()) +
                            " | " + short_count(space->count()) + " | " +
                            cost_text(*space, space->smallest()) + " | " +
                            cost_text(*space, space->largest()) + " |";
    CAPTURE(row);
    CHECK(readme.find(row) != std::string::npos);
  }
}

TEST_CASE("The README names every family and every option") {
  const std::string readme = read_file(LATHE_SOURCE_DIR "/configs/spaces/README.md");
  for (const std::string& name : block_family_names()) {
    CAPTURE(name);
    CHECK(readme.find("`" + name + "`") != std::string::npos);
    for (const OptionSpec& option : block_family(name).options()) {
      CAPTURE(option.name);
      CHECK(readme.find("`" + option.name) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace lathe::search
