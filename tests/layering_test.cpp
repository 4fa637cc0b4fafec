// Reads every #include of the project and checks it against the layers of ARCHITECTURE.md.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Names = std::vector<std::string>;
/// Text of every file by its path from the root.
using Sources = std::map<std::string, std::string>;

struct Layer {
  std::string folder;
  Names may_include;
};

/// In dependency order. A layer may also include itself.
const std::vector<Layer>& layers() {
  static const Names below_evaluation = {"core", "network", "search/space", "latency/measurement"};
  static const auto with = [](Names names, const Names& more) {
    names.insert(names.end(), more.begin(), more.end());
    return names;
  };
  static const std::vector<Layer> table = {
      {"core", {}},
      {"network", {"core"}},
      {"proto", {}},
      {"latency/measurement", {"core"}},
      {"latency/models", {"core"}},
      {"search/space", {"core", "network"}},
      {"search/evaluation", below_evaluation},
      {"search/archive", with(below_evaluation, {"search/evaluation"})},
      {"search/strategy",
       with(below_evaluation, {"search/evaluation", "search/archive", "latency/models"})},
      {"supernet", with(below_evaluation, {"search/evaluation"})},
      {"latency/store", {"core", "network", "latency/measurement"}},
      {"latency/fleet", with(below_evaluation, {"proto", "latency/store", "search/evaluation"})},
      {"device_agent", {"core", "network", "proto", "latency/measurement"}},
      {"cli",
       with(below_evaluation, {"proto", "search/evaluation", "search/archive", "search/strategy",
                               "supernet", "latency/store", "latency/models", "latency/fleet"})},
  };
  return table;
}

/// Where the headers of a library may be included.
struct Library {
  std::string name;
  Names prefixes;    ///< beginnings of its include paths
  Names homes;       ///< folders, tests of a home included
  bool headers_too;  ///< whether headers of a home may include it
  bool may_leak;     ///< whether other folders may reach it through a home's header
};

const std::vector<Library>& libraries() {
  static const std::vector<Library> table = {
      {"torch", {"torch/", "ATen/", "c10/", "caffe2/"}, {"supernet"}, true, false},
      {"grpc",
       {"grpc/", "grpcpp/"},
       {"proto", "latency/fleet", "device_agent", "tests/support", "tests/fuzz"},
       true,
       false},
      {"protobuf",
       {"google/protobuf/"},
       {"proto", "network", "latency/fleet", "device_agent", "tests/support", "tests/fuzz"},
       true,
       false},
      {"onnx", {"onnx/"}, {"network"}, false, false},
      {"yaml-cpp", {"yaml-cpp/"}, {"core"}, false, false},
      {"spdlog", {"spdlog/"}, {"core"}, false, false},
      {"nlohmann/json", {"nlohmann/"}, {""}, false, false},
      {"pagmo", {"pagmo/"}, {"search/strategy", "search/archive"}, false, false},
      {"sqlite",
       {"SQLiteCpp/", "sqlite3"},
       {"search/archive", "latency/store", "cli"},
       false,
       false},
      {"xnnpack", {"xnnpack", "pthreadpool"}, {"device_agent/engine"}, true, false},
      {"onnxruntime", {"onnxruntime_c"}, {"device_agent/engine"}, false, false},
      {"boost.asio",
       {"boost/asio", "boost/beast"},
       {"latency/fleet", "device_agent", "cli"},
       true,
       false},
      {"eigen", {"Eigen/"}, {"latency/models"}, false, false},
      {"boost", {"boost/"}, {""}, true, true},
      {"opencv", {"opencv2/"}, {"supernet/data"}, false, false},
      {"CLI11", {"CLI/"}, {"cli", "device_agent"}, false, false},
      {"doctest", {"doctest/"}, {"tests"}, true, false},
  };
  return table;
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool is_inside(std::string_view path, std::string_view folder) {
  return folder.empty() || (starts_with(path, folder) &&
                            (path.size() == folder.size() || path[folder.size()] == '/'));
}

bool is_header(std::string_view path) {
  return path.size() > 2 && path.substr(path.size() - 2) == ".h";
}

bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const Layer* layer_of(std::string_view path) {
  for (const Layer& layer : layers()) {
    if (is_inside(path, layer.folder)) return &layer;
  }
  return nullptr;
}

/// The part of a test's path that mirrors the tree: "core/x_test.cpp" of "tests/core/x_test.cpp".
std::string_view without_tests(std::string_view path) {
  return starts_with(path, "tests/") ? path.substr(6) : path;
}

bool is_at_home(std::string_view path, const Library& library) {
  return std::any_of(library.homes.begin(), library.homes.end(), [&](const std::string& home) {
    return is_inside(path, home) || is_inside(without_tests(path), home);
  });
}

const Library* library_of(std::string_view included) {
  for (const Library& library : libraries()) {
    for (const std::string& prefix : library.prefixes) {
      if (starts_with(included, prefix)) return &library;
    }
  }
  return nullptr;
}

struct Include {
  size_t line;
  bool quoted;
  std::string path;
};

std::vector<Include> includes_of(const std::string& text) {
  std::vector<Include> includes;
  std::istringstream in(text);
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    size_t at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') continue;
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || line.compare(at, 7, "include") != 0) continue;
    at = line.find_first_not_of(" \t", at + 7);
    if (at == std::string::npos || (line[at] != '<' && line[at] != '"')) continue;
    const size_t end = line.find(line[at] == '<' ? '>' : '"', at + 1);
    if (end == std::string::npos) continue;
    includes.push_back({number, line[at] == '"', line.substr(at + 1, end - at - 1)});
  }
  return includes;
}

/// Checks the files of a tree.
class Checker {
 public:
  explicit Checker(const Sources& sources) : sources_(sources) {
    for (const auto& [path, text] : sources) includes_[path] = includes_of(text);
  }

  Names violations() {
    for (const auto& [path, includes] : includes_) {
      if (subject_name(path).empty()) {
        found_.push_back(path + ":1: the file is in no layer");
        continue;
      }
      for (const Include& include : includes) check(path, include);
    }
    return found_;
  }

 private:
  /// "core" for core/x.cpp, "tests/core" for its tests, "tests" for what stands at the top of
  /// tests/.
  static std::string subject_name(const std::string& path) {
    if (!is_inside(path, "tests")) {
      const Layer* layer = layer_of(path);
      return layer == nullptr ? "" : layer->folder;
    }
    for (const char* shared : {"tests/support", "tests/fuzz"}) {
      if (is_inside(path, shared)) return shared;
    }
    const Layer* layer = layer_of(without_tests(path));
    return layer == nullptr ? "tests" : "tests/" + layer->folder;
  }

  static bool may_include(const std::string& path, const Layer& target) {
    const bool test = is_inside(path, "tests");
    // Helpers and fuzz entries serve every layer; the fleet is tested against a real agent.
    if (is_inside(path, "tests/support") || is_inside(path, "tests/fuzz")) return true;
    if (is_inside(path, "tests/latency/fleet") && target.folder == "device_agent") return true;
    const Layer* layer = layer_of(without_tests(path));
    if (layer == nullptr) return test;
    return layer->folder == target.folder || contains(layer->may_include, target.folder);
  }

  void report(const std::string& path, const Include& include, const std::string& target,
              const std::string& end) {
    found_.push_back(path + ":" + std::to_string(include.line) + ": " + subject_name(path) +
                     " -> " + target + " is not allowed" + end);
  }

  void check(const std::string& path, const Include& include) {
    const std::string_view target = include.path;
    const bool generated = starts_with(target, "lathe/");
    if (is_inside(target, "tests")) {
      const std::string to = subject_name(include.path);
      // The tests of a layer lend their fixtures to the layers that may include it.
      const Layer* mirrored = layer_of(without_tests(target));
      const bool lent = to == "tests/support" || to == "tests/fuzz" || to == subject_name(path) ||
                        (mirrored != nullptr && may_include(path, *mirrored));
      if (!is_inside(path, "tests") || !lent) report(path, include, to, "");
      return;
    }
    const Layer* layer = generated ? layer_of("proto") : layer_of(target);
    if (layer != nullptr) {
      if (!may_include(path, *layer)) report(path, include, layer->folder, "");
      check_leaks(path, include);
      return;
    }
    const Library* library = library_of(target);
    if (library != nullptr) {
      check_library(path, include, *library);
    } else if (include.quoted && stands_beside(path, include.path)) {
      found_.push_back(path + ":" + std::to_string(include.line) + ": \"" + include.path +
                       "\" is not a path from the root");
    }
  }

  /// Whether a file of the tree is meant; what is generated into the build folder has no path.
  bool stands_beside(const std::string& path, const std::string& included) const {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    return sources_.count((folder / included).lexically_normal().generic_string()) > 0;
  }

  void check_library(const std::string& path, const Include& include, const Library& library) {
    if (!is_at_home(path, library)) {
      report(path, include, library.name, "");
    } else if (is_header(path) && !library.headers_too) {
      report(path, include, library.name, " in a header");
    }
  }

  /// Reports every library that an included header brings into a folder that is not its home.
  void check_leaks(const std::string& path, const Include& include) {
    std::set<std::string> visited;
    std::map<std::string, std::string> reached;  // library -> header that includes it
    collect(include.path, visited, reached);
    for (const Library& library : libraries()) {
      const auto through = reached.find(library.name);
      if (through == reached.end() || library.may_leak || is_at_home(path, library)) continue;
      report(path, include, library.name, " (through " + through->second + ")");
    }
  }

  void collect(const std::string& path, std::set<std::string>& visited,
               std::map<std::string, std::string>& reached) {
    if (!visited.insert(path).second) return;
    const auto found = includes_.find(path);
    if (found == includes_.end()) return;
    for (const Include& include : found->second) {
      const Library* library = layer_of(include.path) ? nullptr : library_of(include.path);
      if (library != nullptr) reached.emplace(library->name, path);
      if (starts_with(include.path, "lathe/")) reached.emplace("protobuf", path);
      collect(include.path, visited, reached);
    }
  }

  const Sources& sources_;
  std::map<std::string, std::vector<Include>> includes_;
  Names found_;
};

const Names& top_folders() {
  static const Names folders = {"core",    "network",      "proto", "search", "supernet",
                                "latency", "device_agent", "cli",   "tests"};
  return folders;
}

Sources read_project() {
  namespace fs = std::filesystem;
  const fs::path root = LATHE_SOURCE_DIR;
  Sources sources;
  for (const std::string& folder : top_folders()) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cpp")) continue;
      std::ifstream file(entry.path());
      std::ostringstream text;
      text << file.rdbuf();
      sources[entry.path().lexically_relative(root).generic_string()] = text.str();
    }
  }
  return sources;
}

std::string join(const Names& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Written in two parts, so that this file's own includes stay what they seem.
const std::string kInclude = std::string("#") + "include ";

TEST_CASE("every include of the project follows the layers") {
  const Sources sources = read_project();
  REQUIRE(sources.size() > 100);
  for (const std::string& folder : top_folders()) {
    if (folder == "proto") continue;  // its C++ is generated
    CAPTURE(folder);
    CHECK(std::any_of(sources.begin(), sources.end(),
                      [&](const auto& file) { return is_inside(file.first, folder); }));
  }
  CHECK(join(Checker(sources).violations()) == "");
}

TEST_CASE("a layer that includes a later one is named with file and line") {
  const Sources sources = {
      {"core/a.h", "#pragma once\n\n" + kInclude + "\"network/network.h\"\n"},
      {"search/strategy/a.cpp", kInclude + "\"core/a.h\"\n" + kInclude +
                                    "\"search/archive/archive.h\"\n" + kInclude +
                                    "\"supernet/supernet.h\"\n"},
      {"latency/store/a.cpp", "  #  include  \"latency/fleet/fleet.h\"  // why\n"},
      {"device_agent/a.cpp", kInclude + "\"search/space/search_space.h\"\n" + kInclude +
                                 "\"lathe/v1/device_agent.pb.h\"\n"},
      {"cli/a.cpp", kInclude + "\"device_agent/engine/engine.h\"\n"},
      {"search/space/a.cpp", kInclude + "\"lathe/v1/device_agent.pb.h\"\n"},
      {"core/b.cpp", kInclude + "\"a.h\"\n" + kInclude + "<vector>\n" + kInclude +
                         "\"generated_into_the_build_folder.h\"\n"},
      {"odd/b.cpp", ""},
  };
  CHECK(join(Checker(sources).violations()) ==
        "cli/a.cpp:1: cli -> device_agent is not allowed\n"
        "core/a.h:3: core -> network is not allowed\n"
        "core/b.cpp:1: \"a.h\" is not a path from the root\n"
        "device_agent/a.cpp:1: device_agent -> search/space is not allowed\n"
        "latency/store/a.cpp:1: latency/store -> latency/fleet is not allowed\n"
        "odd/b.cpp:1: the file is in no layer\n"
        "search/space/a.cpp:1: search/space -> proto is not allowed\n"
        "search/strategy/a.cpp:3: search/strategy -> supernet is not allowed\n");
}

TEST_CASE("libraries stay at home, out of headers, and do not leak through them") {
  const Sources sources = {
      {"core/a.h", kInclude + "<yaml-cpp/yaml.h>\n"},
      {"core/a.cpp", kInclude + "<yaml-cpp/yaml.h>\n" + kInclude + "<pagmo/types.hpp>\n"},
      {"supernet/inner/tensors.h", kInclude + "<torch/torch.h>\n"},
      {"supernet/supernet.h", kInclude + "\"supernet/inner/tensors.h\"\n"},
      {"supernet/supernet.cpp", kInclude + "\"supernet/supernet.h\"\n"},
      {"cli/a.cpp", kInclude + "\"supernet/supernet.h\"\n" + kInclude + "<ATen/ATen.h>\n"},
      {"latency/fleet/a.cpp", kInclude + "<grpcpp/grpcpp.h>\n" + kInclude + "<onnx/checker.h>\n"},
      {"latency/fleet/a.h", kInclude + "<boost/asio/io_context.hpp>\n"},
      {"latency/fleet/wire.h", kInclude + "\"lathe/v1/device_agent.pb.h\"\n"},
      {"cli/b.cpp", kInclude + "\"latency/fleet/a.h\"\n" + kInclude + "\"latency/fleet/wire.h\"\n"},
      {"device_agent/board/a.cpp", kInclude + "<xnnpack.h>\n"},
      {"network/a.h", kInclude + "<nlohmann/json.hpp>\n"},
  };
  CHECK(join(Checker(sources).violations()) ==
        "cli/a.cpp:1: cli -> torch is not allowed (through supernet/inner/tensors.h)\n"
        "cli/a.cpp:2: cli -> torch is not allowed\n"
        "cli/b.cpp:2: cli -> protobuf is not allowed (through latency/fleet/wire.h)\n"
        "core/a.cpp:2: core -> pagmo is not allowed\n"
        "core/a.h:1: core -> yaml-cpp is not allowed in a header\n"
        "device_agent/board/a.cpp:1: device_agent -> xnnpack is not allowed\n"
        "latency/fleet/a.cpp:2: latency/fleet -> onnx is not allowed\n"
        "network/a.h:1: network -> nlohmann/json is not allowed in a header\n");
}

TEST_CASE("tests include their layer, what it may include and the helpers") {
  const Sources sources = {
      {"tests/core/a_test.cpp",
       kInclude + "\"core/rng.h\"\n" + kInclude + "\"tests/support/message_of.h\"\n" + kInclude +
           "\"network/network.h\"\n" + kInclude + "\"tests/network/fixture.h\"\n" + kInclude +
           "<doctest/doctest.h>\n" + kInclude + "<torch/torch.h>\n"},
      {"tests/latency/fleet/a_test.cpp", kInclude + "\"device_agent/service/service.h\"\n"},
      {"tests/supernet/a_test.cpp", kInclude + "<torch/torch.h>\n"},
      {"core/a.cpp",
       kInclude + "\"tests/support/message_of.h\"\n" + kInclude + "<doctest/doctest.h>\n"},
  };
  CHECK(join(Checker(sources).violations()) ==
        "core/a.cpp:1: core -> tests/support is not allowed\n"
        "core/a.cpp:2: core -> doctest is not allowed\n"
        "tests/core/a_test.cpp:3: tests/core -> network is not allowed\n"
        "tests/core/a_test.cpp:4: tests/core -> tests/network is not allowed\n"
        "tests/core/a_test.cpp:6: tests/core -> torch is not allowed\n");
}

}  // namespace
