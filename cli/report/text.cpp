#include "cli/report/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace lathe::report {
namespace {

std::string formatted(const char* format, int precision, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, precision, value);
  return buffer.data();
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

std::string milliseconds(double value_ms) {
  const double size = std::abs(value_ms);
  if (size > 0.0 && size < 0.1) return formatted("%.*g", 3, value_ms);
  if (size >= 1e6) return formatted("%.*g", 4, value_ms);
  return formatted("%.*f", size < 10.0 ? 3 : size < 100.0 ? 2 : 1, value_ms);
}

std::string fraction(double value) { return formatted("%.*f", 4, value); }

std::string significant(double value, int digits) { return formatted("%.*g", digits, value); }

std::string one_line(const std::string& text) {
  std::string clean = text;
  for (char& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20U || byte == 0x7FU) c = '?';
  }
  return clean;
}

std::string markdown(const std::string& text) {
  std::string escaped;
  for (const char c : one_line(text)) {
    if (std::string_view("\\`*_{}[]<>|#&~$").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string markdown_code(const std::string& text) {
  std::string code = one_line(text);
  std::replace(code.begin(), code.end(), '`', '\'');
  return code.empty() ? code : "`" + code + "`";
}

std::string html_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string base64(const std::string& bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    unsigned group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8U | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += j <= count ? digits[group >> (18U - 6U * static_cast<unsigned>(j)) & 63U] : '=';
    }
  }
  return text;
}

size_t display_width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

std::string shorten(const std::string& text, size_t limit) {
  if (display_width(text) <= limit) return text;
  size_t end = 0;
  for (size_t shown = 0; end < text.size(); ++end) {
    if (continues(text[end])) continue;
    if (shown == limit - 1) break;
    ++shown;
  }
  return text.substr(0, end) + "…";
}

}  // namespace lathe::report
