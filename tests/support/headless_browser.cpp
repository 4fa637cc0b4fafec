#include "tests/support/headless_browser.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/temporary_folder.h"

namespace lathe::support {
namespace {

constexpr const char* kFlags =
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1400,1000 "
    "--proxy-server=127.0.0.1:9 --dump-dom";

std::string find_chromium() {
  for (const char* path :
       {"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"}) {
    if (access(path, X_OK) == 0) return path;
  }
  throw DataError(
      "chromium is not installed: the report is tested in it (apt-get install chromium)");
}

}  // namespace

std::string document_after_scripts(const std::string& html) {
  const test::TemporaryFolder folder;
  const std::filesystem::path page = folder / "report.html";
  const std::filesystem::path log = folder / "log";
  write_file_atomically(page, html);
  const std::string command = "timeout -k 5 120 " + find_chromium() + " " + kFlags +
                              " --user-data-dir='" + (folder / "profile").string() + "' 'file://" +
                              page.string() + "' 2>'" + log.string() + "'";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw DataError("chromium cannot be started");
  std::string document;
  std::array<char, 65536> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
    document.append(buffer.data(), count);
  }
  const int status = pclose(pipe);
  if (status != 0 || document.empty()) {
    throw DataError("chromium ended with " + std::to_string(WEXITSTATUS(status)) + ", " +
                    std::to_string(document.size()) + " bytes of document: " + read_file(log));
  }
  return document;
}

}  // namespace lathe::support
