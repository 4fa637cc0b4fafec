#include "cli/text_table.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"

namespace lathe::cli {
namespace {

/// Characters as the terminal shows them: UTF-8 continuation bytes take no column.
size_t display_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

bool starts_like_number(const std::string& text) {
  if (text.empty()) return false;
  const auto first = static_cast<unsigned char>(text[0]);
  return std::isdigit(first) != 0 || ((text[0] == '-' || text[0] == '+') && text.size() > 1);
}

}  // namespace

void TextTable::add(std::vector<std::string> cells) {
  if (cells.size() != header_.size()) {
    throw InvariantError("TextTable::add: cells = " + std::to_string(cells.size()) + ", expected " +
                         std::to_string(header_.size()));
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<size_t> widths;
  std::vector<bool> right;
  for (size_t c = 0; c < header_.size(); ++c) {
    size_t width = display_width(header_[c]);
    bool numeric = !rows_.empty();
    for (const auto& row : rows_) {
      width = std::max(width, display_width(row[c]));
      numeric = numeric && (row[c] == "-" || starts_like_number(row[c]));
    }
    widths.push_back(width);
    right.push_back(numeric);
  }
  std::string text;
  const auto append_row = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - display_width(row[c]), ' ');
      line += (c == 0 ? "" : "  ") + (right[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  append_row(header_);
  size_t total = 0;
  for (const size_t width : widths) total += width + 2;
  text += std::string(total - 2, '-') + "\n";
  for (const auto& row : rows_) append_row(row);
  return text;
}

}  // namespace lathe::cli
