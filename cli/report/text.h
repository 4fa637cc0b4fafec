#pragma once

// Text for people, shared by the table, the model card and the page. Internal.

#include <string>

namespace lathe::report {

/// Returns a latency with three significant digits or more: 0.0123 as "0.0123", 1.2345 as "1.234",
/// 123.45 as "123.5".
std::string milliseconds(double value_ms);
/// Returns a fraction with four digits: "0.9123".
std::string fraction(double value);
/// Returns `value` with `digits` significant digits.
std::string significant(double value, int digits);
/// Returns `text` with control characters (also escape sequences and line breaks) as '?'.
std::string one_line(const std::string& text);
/// Returns how many columns UTF-8 `text` takes: continuation bytes take none.
size_t display_width(const std::string& text);
/// Returns `text` if it takes at most `limit` columns, else its beginning and an ellipsis. `limit`
/// >= 1.
std::string shorten(const std::string& text, size_t limit);

/// Returns `text` on one line with every character that Markdown or HTML gives a meaning escaped.
std::string markdown(const std::string& text);
/// Returns `text` on one line as a Markdown code span; backquotes become apostrophes.
std::string markdown_code(const std::string& text);

/// Returns `text` with the characters that HTML gives a meaning as character references.
std::string html_text(const std::string& text);
/// Returns `bytes` in base64 with padding (RFC 4648).
std::string base64(const std::string& bytes);

}  // namespace lathe::report
