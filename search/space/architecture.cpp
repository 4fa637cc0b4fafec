#include "search/space/architecture.h"

#include <charconv>

#include "core/rng.h"

namespace lathe::search {

std::string Architecture::to_string() const {
  std::string text;
  for (const uint16_t gene : genes) {
    if (!text.empty()) text += '-';
    text += std::to_string(gene);
  }
  return text;
}

Architecture Architecture::parse(const std::string& text) {
  Architecture architecture;
  if (text.empty()) return architecture;
  const char* cursor = text.data();
  const char* const end = text.data() + text.size();
  while (true) {
    uint16_t gene = 0;
    const auto [next, error] = std::from_chars(cursor, end, gene);
    const bool canonical_digits = next == cursor + 1 || *cursor != '0';
    if (error != std::errc() || !canonical_digits || (next != end && *next != '-')) {
      throw DataError("architecture \"" + text + "\": character " +
                      std::to_string(cursor - text.data()) +
                      ", expected indices in [0, 65535] joined by '-', for example 0-2-1");
    }
    architecture.genes.push_back(gene);
    if (next == end) return architecture;
    cursor = next + 1;
  }
}

size_t ArchitectureHash::operator()(const Architecture& architecture) const {
  const auto* bytes = reinterpret_cast<const char*>(architecture.genes.data());
  return static_cast<size_t>(
      stable_hash(std::string_view(bytes, architecture.genes.size() * sizeof(uint16_t))));
}

}  // namespace lathe::search
