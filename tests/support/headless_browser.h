#pragma once

#include <string>

namespace lathe::support {

/// Opens the page `html` from a file in headless Chromium, without any network, and returns the
/// document after its scripts ran, as text. \throws DataError if Chromium is not installed (apt-get
/// install chromium), fails or takes over two minutes.
std::string document_after_scripts(const std::string& html);

}  // namespace lathe::support
