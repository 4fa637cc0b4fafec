#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

/// A table for the terminal: columns are as wide as their longest cell; cells that look like
/// numbers are aligned to the right. Not thread-safe.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : header_(std::move(header)) {}
  /// \throws InvariantError if the number of cells is not the header's.
  void add(std::vector<std::string> cells);
  /// Header, a rule, the rows; every line ends in a newline and has no trailing blanks.
  std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lathe::cli
