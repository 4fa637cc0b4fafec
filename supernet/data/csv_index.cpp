#include "supernet/data/csv_index.h"

#include <unordered_map>

#include "core/error.h"
#include "core/file.h"

namespace lathe::supernet {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, int64_t line, const std::string& what) {
  throw DataError(path.string() + ":" + std::to_string(line) + ": " + what);
}

/// Splits one line at its commas; a quoted value may hold commas and doubled quotes.
std::vector<std::string> split(const std::filesystem::path& path, int64_t number,
                               const std::string& line) {
  std::vector<std::string> values(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      values.back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      values.emplace_back();
    } else {
      values.back() += c;
    }
  }
  if (quoted) fail(path, number, "a quote is not closed");
  return values;
}

/// The lines without their ends; a byte order mark is dropped.
std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::string text = read_file(path);
  if (text.compare(0, 3, "\xef\xbb\xbf") == 0) text.erase(0, 3);
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    if (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
    begin = end + 1;
  }
  return lines;
}

}  // namespace

std::vector<IndexEntry> read_csv_index(const std::filesystem::path& path) {
  const std::vector<std::string> lines = read_lines(path);
  if (lines.empty() || lines.front() != "file,label") {
    fail(path, 1,
         "\"" + (lines.empty() ? "" : lines.front().substr(0, 60)) +
             "\", expected the header file,label");
  }
  std::vector<IndexEntry> entries;
  std::unordered_map<std::string, int64_t> line_of;
  for (size_t l = 1; l < lines.size(); ++l) {
    const auto number = static_cast<int64_t>(l) + 1;
    if (lines[l].empty()) continue;
    const std::vector<std::string> values = split(path, number, lines[l]);
    if (values.size() != 2) {
      fail(path, number, std::to_string(values.size()) + " values, expected 2: file,label");
    }
    if (values[0].empty()) fail(path, number, "the file is empty, expected the name of an image");
    if (values[1].empty()) fail(path, number, "the label is empty, expected the name of a class");
    const std::string file = std::filesystem::path(values[0]).lexically_normal().string();
    const auto [known, is_new] = line_of.emplace(file, number);
    if (!is_new) {
      fail(path, number,
           values[0] + " stands in line " + std::to_string(known->second) +
               " already, expected every file once");
    }
    entries.push_back({file, values[1], number});
  }
  if (entries.empty()) fail(path, 1, "no images, expected a line for each after the header");
  return entries;
}

}  // namespace lathe::supernet
