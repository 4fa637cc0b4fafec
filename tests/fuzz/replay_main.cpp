// Runs a fuzz entry over a corpus, and over mutations of it that are the same in every run: what
// libFuzzer does, without its coverage, with any compiler. Usage: NAME_fuzz_replay CORPUS_FOLDER
// MUTATIONS

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::vector<std::string> read_corpus(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const std::filesystem::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

/// Changes one to eight places: a byte flipped, removed, repeated, or a piece of another input put
/// in.
std::string mutate(std::string text, const std::vector<std::string>& corpus, lathe::Rng& rng) {
  const int64_t changes = rng.integer(1, 8);
  for (int64_t change = 0; change < changes && !text.empty(); ++change) {
    const size_t at = static_cast<size_t>(rng.below(text.size()));
    switch (rng.below(4)) {
      case 0:
        text[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        text.erase(at, static_cast<size_t>(rng.integer(1, 8)));
        break;
      case 2:
        text.insert(at, std::string(static_cast<size_t>(rng.integer(1, 8)), text[at]));
        break;
      default: {
        const std::string& other = rng.choose(corpus);
        if (other.empty()) break;
        const size_t from = static_cast<size_t>(rng.below(other.size()));
        text.insert(at, other.substr(from, static_cast<size_t>(rng.integer(1, 40))));
      }
    }
  }
  return text;
}

void run(const std::string& text) {
  try {
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s; the input is\n-----\n%s\n-----\n", error.what(), text.c_str());
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER MUTATIONS\n", argv[0]);
    return 2;
  }
  const std::vector<std::string> corpus = read_corpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no file, expected a corpus\n", argv[1]);
    return 1;
  }
  for (const std::string& text : corpus) run(text);
  const int64_t mutations = std::atoll(argv[2]);
  for (int64_t i = 0; i < mutations; ++i) {
    lathe::Rng rng = lathe::Rng(1).derive("mutation", static_cast<uint64_t>(i));
    run(mutate(rng.choose(corpus), corpus, rng));
  }
  std::printf("%zu inputs and %lld mutations of them passed\n", corpus.size(),
              static_cast<long long>(mutations));
  return 0;
}
