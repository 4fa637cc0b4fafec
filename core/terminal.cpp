#include "core/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string>

namespace lathe::terminal {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

std::mutex& mutex() {
  static std::mutex instance;
  return instance;
}

std::string& status() {
  static std::string instance;
  return instance;
}

/// A closed or full standard error must not stop the program: what cannot be shown is dropped.
void write_out(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

bool is_terminal() {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return !dumb && ::isatty(STDERR_FILENO) == 1;
}

int columns() {
  struct winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

void write_line(std::string_view line) {
  const std::lock_guard<std::mutex> lock(mutex());
  std::string output;
  if (!status().empty()) output += kEraseLine;
  output += line;
  output += '\n';
  output += status();
  write_out(output);
}

void set_status(std::string_view text) {
  const std::lock_guard<std::mutex> lock(mutex());
  if (text.empty() && status().empty()) return;
  status() = std::string(text);
  write_out(std::string(kEraseLine) + status());
}

}  // namespace lathe::terminal
