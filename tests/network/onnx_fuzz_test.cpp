#include <doctest/doctest.h>

#include "core/rng.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "tests/fuzz/onnx_import_fuzz.h"
#include "tests/fuzz/seeds.h"
#include "tests/network/onnx_text.h"
#include "tests/support/quantized_model.h"
#include "tests/support/random_network.h"

namespace lathe::network {
namespace {

void feed(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::vector<std::string> valid_files() {
  std::vector<std::string> files;
  for (const test::OnnxSpelling& spelling : test::onnx_spellings()) {
    files.push_back(spelling.bytes);
  }
  const Rng root(31);
  for (uint64_t i = 0; i < 20; ++i) {
    const Model model = test::random_model(root.derive("fuzz", i), {10, 6, 4, true});
    files.push_back(to_onnx(model));
    files.push_back(to_onnx_without_weights(deploy(model.network), i));
    files.push_back(to_onnx(test::quantized_model(model, root.derive("images", i))));
  }
  return files;
}

/// Changes bits, bytes and runs of bytes; cuts, repeats and splices with another file.
std::string mutated(std::string bytes, const std::vector<std::string>& files, Rng& rng) {
  const int64_t changes = rng.integer(1, 4);
  for (int64_t i = 0; i < changes && !bytes.empty(); ++i) {
    const size_t at = rng.below(bytes.size());
    const size_t length = std::min<size_t>(rng.below(16) + 1, bytes.size() - at);
    switch (rng.below(7)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << rng.below(8));
        break;
      case 1:
        bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 2:
        for (size_t k = 0; k < length; ++k) bytes[at + k] = '\xff';
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 5:
        bytes.resize(at);
        break;
      default: {
        const std::string& other = rng.choose(files);
        const size_t from = rng.below(other.size());
        bytes.insert(at, other.substr(from, rng.below(200)));
      }
    }
  }
  return bytes;
}

TEST_CASE("Valid files pass through the fuzz target") {
  const std::vector<std::string> files = valid_files();
  test::keep_seeds("onnx", files);
  for (const std::string& bytes : files) CHECK_NOTHROW(feed(bytes));
}

TEST_CASE("Thousands of mutated files are read or refused, and never anything else") {
  const std::vector<std::string> files = valid_files();
  const Rng root(32);
  for (uint64_t i = 0; i < 20000; ++i) {
    Rng rng = root.derive("mutation", i);
    CAPTURE(i);
    CHECK_NOTHROW(feed(mutated(files[i % files.size()], files, rng)));
  }
}

TEST_CASE("Every prefix of a file is read or refused") {
  const std::vector<std::string> files = valid_files();
  for (size_t i = 0; i < files.size(); i += 9) {
    for (size_t size = 0; size < files[i].size(); size += 1 + files[i].size() / 400) {
      CHECK_NOTHROW(feed(files[i].substr(0, size)));
    }
  }
}

}  // namespace
}  // namespace lathe::network
