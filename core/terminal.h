#pragma once

#include <string_view>

namespace lathe::terminal {

// Standard error as the log and the progress bar share it. Thread-safe.

/// Whether standard error is a terminal that understands cursor control (TERM is not "dumb").
bool is_terminal();
/// Width of the terminal in characters; 80 if it is not known.
int columns();
/// Writes `line` and a line break. A bar that is shown moves below it.
void write_line(std::string_view line);
/// Shows `status` on the last line in place of the status before; empty removes it.
void set_status(std::string_view status);

}  // namespace lathe::terminal
