// The configuration reader on arbitrary bytes: it either refuses them with a ConfigError that
// begins with the file's name, or reads a document that is the same after being written and read
// again.

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "core/config.h"

namespace {

using lathe::ConfigDocument;
using lathe::ConfigError;
using lathe::ConfigSection;

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

ConfigDocument read(const std::string& text) {
  return ConfigDocument::read_text(text, "fuzz.yaml");
}

/// Asks every key of the tree for every type.
void read_everything(ConfigSection section, int depth) {
  for (const std::string& key : section.keys()) {
    section.integer(key, 1, {-100, 100, 2});
    section.real(key, 1.0);
    section.boolean(key, true);
    section.text(key, "");
    section.choice(key, "a", {"a", "population"});
    section.duration_s(key, 1.0);
    section.size_bytes(key, 1);
    section.count(key, 1);
    section.integers(key, std::vector<int64_t>{});
    section.texts(key, std::vector<std::string>{});
    if (depth > 50) continue;
    if (section.is_list(key)) {
      for (const ConfigSection& item : section.sections(key)) read_everything(item, depth + 1);
    } else {
      read_everything(section.section(key), depth + 1);
    }
  }
  section.finish();
}

void check(const std::string& text) {
  ConfigDocument document = read(text);
  if (!document.has_faults()) {
    const std::string json = document.to_json();
    require(read(json).to_json() == json, "JSON that was written does not read the same");
    require(read(document.to_yaml()).to_json() == json,
            "YAML that was written does not read the same");
  }
  read_everything(document.root(), 0);
  document.throw_if_faults();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    check(text);
  } catch (const ConfigError& error) {
    require(std::string(error.what()).rfind("fuzz.yaml:", 0) == 0,
            "a message does not begin with the name of the file");
  }
  return 0;
}
