#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include "core/config.h"
#include "core/config_tree.h"

namespace lathe {
namespace {

constexpr size_t kDisplayLimit = 60;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads digits from `position` on and returns how many there are.
size_t skip_digits(const std::string& text, size_t& position) {
  const size_t begin = position;
  while (position < text.size() && is_digit(text[position])) ++position;
  return position - begin;
}

struct Decimal {
  std::string number;  ///< digits with at most one point
  std::string unit;    ///< what follows
};

/// Splits "1.5ms" into "1.5" and "ms". No sign, no blanks, digits on both sides of a point.
std::optional<Decimal> split_unit(const std::string& text) {
  size_t position = 0;
  if (skip_digits(text, position) == 0) return std::nullopt;
  if (position < text.size() && text[position] == '.') {
    ++position;
    if (skip_digits(text, position) == 0) return std::nullopt;
  }
  return Decimal{text.substr(0, position), text.substr(position)};
}

/// Returns `number` times `factor` if that is a whole number that fits. Exact: no floating point.
std::optional<int64_t> scaled_integer(const std::string& number, int64_t factor) {
  constexpr size_t kMaxFractionDigits = 9;
  const size_t point = std::min(number.find('.'), number.size());
  const std::optional<int64_t> whole = config_detail::parse_integer(number.substr(0, point));
  std::string digits = point < number.size() ? number.substr(point + 1) : "";
  while (!digits.empty() && digits.back() == '0') digits.pop_back();
  if (!whole || digits.size() > kMaxFractionDigits) return std::nullopt;
  int64_t fraction = 0;
  int64_t scale = 1;
  for (const char digit : digits) {
    fraction = fraction * 10 + (digit - '0');
    scale *= 10;
  }
  // At most 10^9 times 2^30: fits.
  if (fraction * factor % scale != 0) return std::nullopt;
  int64_t result = 0;
  if (__builtin_mul_overflow(*whole, factor, &result) ||
      __builtin_add_overflow(result, fraction * factor / scale, &result)) {
    return std::nullopt;
  }
  return result;
}

template <size_t N>
std::optional<int64_t> parse_with_units(
    const std::string& text, const std::array<std::pair<const char*, int64_t>, N>& units) {
  const std::optional<Decimal> decimal = split_unit(text);
  if (!decimal) return std::nullopt;
  for (const auto& [name, factor] : units) {
    if (decimal->unit == name) return scaled_integer(decimal->number, factor);
  }
  return std::nullopt;
}

std::string shortened(const std::string& text) {
  if (text.size() <= kDisplayLimit) return text;
  size_t end = kDisplayLimit;
  // Do not cut a UTF-8 sequence.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20U) {
      line += '?';
    } else {
      line += c;
    }
  }
  return line;
}

/// Edit distance with exchanges of neighbours (optimal string alignment).
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) table[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) table[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t exchange = a[i - 1] == b[j - 1] ? 0 : 1;
      table[i][j] =
          std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + exchange});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
      }
    }
  }
  return table[a.size()][b.size()];
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c == '-') c = '_';
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

}  // namespace

std::optional<double> parse_duration_s(const std::string& text) {
  const std::optional<Decimal> decimal = split_unit(text);
  if (!decimal) return std::nullopt;
  const std::optional<double> number = config_detail::parse_real(decimal->number);
  if (!number) return std::nullopt;
  // Dividing keeps 20ms equal to the literal 0.02; multiplying by 1e-3 would not.
  if (decimal->unit == "us") return *number / 1e6;
  if (decimal->unit == "ms") return *number / 1e3;
  if (decimal->unit == "s") return *number;
  if (decimal->unit == "min") return *number * 60.0;
  if (decimal->unit == "h") return *number * 3600.0;
  return std::nullopt;
}

std::optional<int64_t> parse_size_bytes(const std::string& text) {
  static constexpr std::array<std::pair<const char*, int64_t>, 7> kUnits = {
      {{"B", 1},
       {"KB", 1000},
       {"MB", 1000000},
       {"GB", 1000000000},
       {"KiB", int64_t{1} << 10},
       {"MiB", int64_t{1} << 20},
       {"GiB", int64_t{1} << 30}}};
  return parse_with_units(text, kUnits);
}

std::optional<int64_t> parse_count(const std::string& text) {
  static constexpr std::array<std::pair<const char*, int64_t>, 4> kUnits = {
      {{"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}}};
  return parse_with_units(text, kUnits);
}

std::string nearest_name(const std::string& word, const std::vector<std::string>& names) {
  constexpr size_t kMaxWord = 64;
  if (word.empty() || word.size() > kMaxWord) return "";
  std::string nearest;
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : names) {
    if (name.size() > kMaxWord) continue;
    const size_t distance = edit_distance(lower_case(word), lower_case(name));
    // Replacing every letter is not a typing error.
    if (distance >= best || distance >= std::max(word.size(), name.size())) continue;
    best = distance;
    nearest = name;
  }
  return nearest;
}

namespace config_detail {

std::optional<int64_t> parse_integer(const std::string& text) {
  size_t position = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  const size_t digits = position;
  if (skip_digits(text, position) == 0 || position != text.size()) return std::nullopt;
  int64_t value = 0;
  const char* begin = text.data() + (text[0] == '+' ? digits : 0);
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(begin, end, value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> parse_real(const std::string& text) {
  const size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  size_t position = sign;
  size_t digits = skip_digits(text, position);
  if (position < text.size() && text[position] == '.') {
    ++position;
    digits += skip_digits(text, position);
  }
  if (digits == 0) return std::nullopt;
  if (position < text.size() && (text[position] == 'e' || text[position] == 'E')) {
    ++position;
    if (position < text.size() && (text[position] == '+' || text[position] == '-')) ++position;
    if (skip_digits(text, position) == 0) return std::nullopt;
  }
  if (position != text.size()) return std::nullopt;
  double value = 0.0;
  const char* begin = text.data() + (text[0] == '+' ? sign : 0);
  const auto parsed = std::from_chars(begin, text.data() + text.size(), value);
  if (parsed.ec != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

ScalarType scalar_type(const ConfigNode& node) {
  if (node.quoted) return ScalarType::Text;
  if (node.scalar == "true" || node.scalar == "false") return ScalarType::Boolean;
  if (parse_integer(node.scalar)) return ScalarType::Integer;
  if (parse_real(node.scalar)) return ScalarType::Real;
  return ScalarType::Text;
}

std::string display(const ConfigNode& node) {
  switch (node.kind) {
    case NodeKind::Null:
      return "null";
    case NodeKind::Scalar:
      return node.quoted ? "\"" + shortened(one_line(node.scalar)) + "\""
                         : shortened(one_line(node.scalar));
    case NodeKind::Mapping:
      return node.members.empty() ? "{}" : "{" + shortened(node.members.front().key) + ": ...}";
    case NodeKind::Sequence:
      break;
  }
  std::string list = "[";
  for (const ConfigNode& item : node.items) {
    if (list.size() > kDisplayLimit) return list + ", ...]";
    list += (list.size() > 1 ? ", " : "") + display(item);
  }
  return list + "]";
}

}  // namespace config_detail
}  // namespace lathe
