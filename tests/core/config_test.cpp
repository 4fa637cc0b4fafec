#include "core/config.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/file.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace lathe {
namespace {

using test::message_of;

ConfigDocument read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ConfigDocument::read_text(text, "mobile.yaml", overrides);
}

std::string faults_of(const ConfigDocument& document) {
  return message_of<ConfigError>([&] { document.throw_if_faults(); });
}

/// Reads the schema that the tables below break, and returns the faults.
std::string read_schema(const std::string& text, const std::vector<std::string>& overrides = {}) {
  ConfigDocument document = read(text, overrides);
  ConfigSection root = document.root();
  ConfigSection run = root.section("run");
  run.text("name", "run");
  run.boolean("deterministic", true);
  run.finish();
  ConfigSection search = root.section("search");
  search.integer("population", 64, {4, 4096, 4});
  search.integer("seed", 1);
  search.real("mutation", 0.1, {0.0, 1.0, true});
  search.choice("strategy", "nsga2", {"nsga2", "random", "aging_evolution"});
  search.duration_s("board_time", 60.0, {1.0, 7200.0});
  search.size_bytes("memory", 1000, {0, 2000000000});
  search.count("evaluations", 100, {1, 1000000});
  search.integers("widths", std::vector<int64_t>{8}, {8, 512, 8});
  search.reals("weights", std::vector<double>{1.0});
  search.booleans("flags", std::vector<bool>{true});
  search.texts("constraints", std::vector<std::string>{});
  search.choices("objectives", std::vector<std::string>{"accuracy"}, {"accuracy", "latency"});
  search.finish();
  for (ConfigSection device : root.sections("devices")) {
    device.text("name", std::nullopt);
    device.integer("threads", 1, {1, 64});
    device.finish();
  }
  root.finish();
  return faults_of(document);
}

TEST_CASE("every wrong value is a fault with file, line, pointer, value and expectation") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"search: {population: 63}",
       "/search/population = 63, expected a multiple of 4 in [4, 4096]"},
      {"search: {population: 4100}",
       "/search/population = 4100, expected a multiple of 4 in [4, 4096]"},
      {"search: {seed: 3.9}", "/search/seed = 3.9, expected an integer"},
      {"search: {seed: 3.0}", "/search/seed = 3.0, expected an integer"},
      {"search: {seed: 1e3}", "/search/seed = 1e3, expected an integer"},
      {"search: {seed: true}", "/search/seed = true, expected an integer"},
      {"search: {seed: \"7\"}", "/search/seed = \"7\", expected an integer"},
      {"search: {seed: 0x10}", "/search/seed = 0x10, expected an integer"},
      {"search: {seed: 1_000}", "/search/seed = 1_000, expected an integer"},
      {"search: {seed: 9223372036854775808}",
       "/search/seed = 9223372036854775808, expected an integer"},
      {"search: {seed: [1]}", "/search/seed = [1], expected an integer"},
      {"search: {seed: {a: 1}}", "/search/seed = {a: ...}, expected an integer"},
      {"search: {seed: }", "/search/seed = null, expected an integer"},
      {"search: {seed: ~}", "/search/seed = null, expected an integer"},
      {"search: {mutation: 0}", "/search/mutation = 0, expected a number in (0, 1]"},
      {"search: {mutation: 1.01}", "/search/mutation = 1.01, expected a number in (0, 1]"},
      {"search: {mutation: .nan}", "/search/mutation = .nan, expected a number in (0, 1]"},
      {"search: {mutation: nan}", "/search/mutation = nan, expected a number in (0, 1]"},
      {"search: {mutation: 1e999}", "/search/mutation = 1e999, expected a number in (0, 1]"},
      {"search: {mutation: \"0.5\"}", "/search/mutation = \"0.5\", expected a number in (0, 1]"},
      {"run: {deterministic: yes}", "/run/deterministic = yes, expected true or false"},
      {"run: {deterministic: 1}", "/run/deterministic = 1, expected true or false"},
      {"run: {deterministic: True}", "/run/deterministic = True, expected true or false"},
      {"run: {deterministic: \"true\"}", "/run/deterministic = \"true\", expected true or false"},
      {"run: {name: 12}", "/run/name = 12, expected a text (write \"12\" with its quotes)"},
      {"run: {name: true}", "/run/name = true, expected a text (write \"true\" with its quotes)"},
      {"run: {name: [a]}", "/run/name = [a], expected a text"},
      {"search: {strategy: nsga3}",
       "/search/strategy = nsga3, expected one of nsga2, random, aging_evolution (did you mean "
       "\"nsga2\"?)"},
      {"search: {strategy: bayes}",
       "/search/strategy = bayes, expected one of nsga2, random, aging_evolution"},
      {"search: {board_time: 20}",
       "/search/board_time = 20, expected a duration such as 500us, 20ms, 1.5s, 30min or 2h in "
       "[1s, 2h]"},
      {"search: {board_time: 3h}",
       "/search/board_time = 3h, expected a duration such as 500us, 20ms, 1.5s, 30min or 2h in "
       "[1s, 2h]"},
      {"search: {memory: 64}",
       "/search/memory = 64, expected a size such as 512B, 64KB, 50MB, 2GB or 16MiB in [0, "
       "2000000000]"},
      {"search: {evaluations: 1.5}",
       "/search/evaluations = 1.5, expected a count such as 300, 2k, 1.5M or 4G in [1, 1000000]"},
      {"search: {widths: 8}",
       "/search/widths = 8, expected a list, each element a multiple of 8 in [8, 512]"},
      {"search: {widths: [8, 12]}", "/search/widths/1 = 12, expected a multiple of 8 in [8, 512]"},
      {"search: {weights: [1, x]}", "/search/weights/1 = x, expected a number"},
      {"search: {flags: [true, no]}", "/search/flags/1 = no, expected true or false"},
      {"search: {constraints: [a, [b]]}", "/search/constraints/1 = [b], expected a text"},
      {"search: {objectives: [acuracy]}",
       "/search/objectives/0 = acuracy, expected one of accuracy, latency (did you mean "
       "\"accuracy\"?)"},
      {"search: {populaton: 64}",
       "/search/populaton = 64, expected a known key (did you mean \"population\"?)"},
      {"run: {zzzzzz: 1}", "/run/zzzzzz = 1, expected one of the keys deterministic, name"},
      {"search: 12", "/search = 12, expected a mapping"},
      {"search: []", "/search = [], expected a mapping"},
      {"devices: {}", "/devices = {}, expected a list of mappings"},
      {"devices: [pi4]", "/devices/0 = pi4, expected a mapping"},
      {"devices: [{threads: 2}]", "/devices/0/name is missing, expected a text"},
      {"devices: [{name: a, threads: 0}]",
       "/devices/0/threads = 0, expected an integer in [1, 64]"},
      {"run: {name: a, name: b}",
       "/run/name = b, expected the key once (it is already given at line 1)"},
      {"[1, 2]", "/ = [1, 2], expected a mapping"},
      {"hello", "/ = hello, expected a mapping"},
      {"", "/ = null, expected a mapping"},
      {"# only a comment", "/ = null, expected a mapping"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(read_schema(text) == "mobile.yaml:1: " + expected);
  }
}

TEST_CASE("what is well formed has no fault") {
  for (const std::string text :
       {"{}", "run:", "search: {seed: -7}", "search: {seed: +7}", "search: {mutation: 1}",
        "search: {mutation: 1e-3}", "search: {mutation: .5}", "run: {name: \"12\"}",
        "run: {name: ''}", "search: {strategy: \"random\"}", "search: {widths: []}",
        "search: {board_time: 30min}", "search: {memory: 1.5GB}", "search: {evaluations: 2k}",
        "devices: []", "run: {name: yes}"}) {
    CAPTURE(text);
    CHECK(read_schema(text) == "(nothing was thrown)");
  }
}

TEST_CASE("all faults are reported at once in the order of the file") {
  CHECK(read_schema("search:\n"
                    "  seed: x\n"
                    "  populaton: 64\n"
                    "  widths:\n"
                    "    - 8\n"
                    "    - 9\n"
                    "run:\n"
                    "  deterministic:\n"
                    "    maybe\n"
                    "  seed: 1\n"
                    "  seed: 2\n",
                    {"search.mutation=7"}) ==
        "mobile.yaml:2: /search/seed = x, expected an integer\n"
        "mobile.yaml:3: /search/populaton = 64, expected a known key (did you mean "
        "\"population\"?)\n"
        "mobile.yaml:6: /search/widths/1 = 9, expected a multiple of 8 in [8, 512]\n"
        "mobile.yaml:8: /run/deterministic = maybe, expected true or false\n"
        "mobile.yaml:10: /run/seed = 1, expected one of the keys deterministic, name\n"
        "mobile.yaml:11: /run/seed = 2, expected the key once (it is already given at line 10)\n"
        "mobile.yaml:11: /run/seed = 2, expected one of the keys deterministic, name\n"
        "--set search.mutation=7: /search/mutation = 7, expected a number in (0, 1]");
}

TEST_CASE("a fault gives the default, and a fault found twice is told once") {
  ConfigDocument document = read("a: 3.9\nlist: [1, x, 3]");
  ConfigSection root = document.root();
  CHECK(root.integer("a", 5) == 5);
  CHECK(root.integer("a", 6) == 6);
  CHECK(root.integers("list", std::vector<int64_t>{9}) == std::vector<int64_t>{9});
  CHECK(document.has_faults());
  CHECK(faults_of(document) ==
        "mobile.yaml:1: /a = 3.9, expected an integer\n"
        "mobile.yaml:2: /list/1 = x, expected an integer");
}

TEST_CASE("values are read as written") {
  ConfigDocument document = read(
      "integer: -9223372036854775808\nreal: 2.5e-3\nflag: false\ntext: \"a: b # c\"\n"
      "time: 20ms\nsize: 16MiB\ncount: 1.5M\nintegers: [1, 2]\nreals: [1, .5]\n"
      "flags: [true, false]\ntexts: [x, '1']\nchoices: [b, a]\nblock: |\n  two\n  lines\n");
  ConfigSection root = document.root();
  CHECK(root.integer("integer", std::nullopt) == INT64_MIN);
  CHECK(root.real("real", std::nullopt) == 0.0025);
  CHECK(root.boolean("flag", std::nullopt) == false);
  CHECK(root.text("text", std::nullopt) == "a: b # c");
  CHECK(root.duration_s("time", std::nullopt) == 0.02);
  CHECK(root.size_bytes("size", std::nullopt) == 16777216);
  CHECK(root.count("count", std::nullopt) == 1500000);
  CHECK(root.integers("integers", std::nullopt) == std::vector<int64_t>{1, 2});
  CHECK(root.reals("reals", std::nullopt) == std::vector<double>{1.0, 0.5});
  CHECK(root.booleans("flags", std::nullopt) == std::vector<bool>{true, false});
  CHECK(root.texts("texts", std::nullopt) == std::vector<std::string>{"x", "1"});
  CHECK(root.choices("choices", std::nullopt, {"a", "b"}) == std::vector<std::string>{"b", "a"});
  CHECK(root.text("block", std::nullopt) == "two\nlines\n");
  CHECK(root.integer("absent", 4) == 4);
  root.finish();
  CHECK_NOTHROW(document.throw_if_faults());
}

TEST_CASE("a required key that is missing names its section's line") {
  ConfigDocument document = read("a: 1\nsearch:\n  seed: 1\n");
  ConfigSection search = document.root().section("search");
  CHECK(search.integer("population", std::nullopt, {4, 64}) == 0);
  CHECK(search.choices("objectives", std::nullopt, {"accuracy"}).empty());
  ConfigSection absent = document.root().section("devices");
  CHECK_FALSE(absent.present());
  absent.text("name", std::nullopt);
  CHECK(faults_of(document) ==
        "mobile.yaml:1: /devices/name is missing, expected a text\n"
        "mobile.yaml:2: /search/population is missing, expected an integer in [4, 64]\n"
        "mobile.yaml:2: /search/objectives is missing, expected a list, each element one of "
        "accuracy");
}

TEST_CASE("a section of the wrong type does not also complain about its keys") {
  ConfigDocument document = read("search: 3");
  ConfigSection search = document.root().section("search");
  search.integer("population", std::nullopt);
  search.section("inner").integer("x", std::nullopt);
  search.finish();
  CHECK(faults_of(document) == "mobile.yaml:1: /search = 3, expected a mapping");
}

TEST_CASE("the shape of a value can be asked before it is read") {
  ConfigDocument document = read("list: [1]\nmapping: {a: 1}\ntext: auto\nnumber: 4\nb: 1\nb: 2");
  ConfigSection root = document.root();
  CHECK(root.is_list("list"));
  CHECK_FALSE(root.is_list("mapping"));
  CHECK(root.is_mapping("mapping"));
  CHECK(root.is_text("text"));
  CHECK_FALSE(root.is_text("number"));
  CHECK_FALSE(root.is_text("absent"));
  CHECK(root.keys() == std::vector<std::string>{"list", "mapping", "text", "number", "b"});
  CHECK(root.has("list"));
  CHECK_FALSE(root.has("absent"));
}

TEST_CASE("has makes a key known for suggestions but does not read it") {
  ConfigDocument document = read("devicess: 1\ndevices: 2");
  ConfigSection root = document.root();
  CHECK(root.has("devices"));
  root.finish();
  CHECK(faults_of(document) ==
        "mobile.yaml:1: /devicess = 1, expected a known key (did you mean \"devices\"?)\n"
        "mobile.yaml:2: /devices = 2, expected a known key (did you mean \"devices\"?)");
}

TEST_CASE("callers record faults of their own, and where names a line") {
  ConfigDocument document = read("search:\n  population: 8\n  parents: 9\n", {"search.top=1"});
  ConfigSection search = document.root().section("search");
  document.add_fault(search, "parents", "at most /search/population = 8");
  search.fault("absent", "a value when parents is given");
  search.fault("", "two keys");
  CHECK(search.where("parents") == "mobile.yaml:3");
  CHECK(search.where() == "mobile.yaml:1");
  CHECK(search.where("absent") == "mobile.yaml:1");
  CHECK(search.where("top") == "--set search.top=1");
  CHECK(faults_of(document) ==
        "mobile.yaml:1: /search/absent is missing, expected a value when parents is given\n"
        "mobile.yaml:1: /search: expected two keys\n"
        "mobile.yaml:3: /search/parents = 9, expected at most /search/population = 8");
}

TEST_CASE("overrides set, make, replace and append values") {
  ConfigDocument document =
      read("search: {seed: 1, list: [1, 2]}\ndevices:\n  - {name: a}\nempty:\n",
           {"search.seed=7", "search.list.1=5", "search.list.2=6", "devices.0.name=b",
            "devices.1={name: c}", "new.deep.key=[x, y]", "empty.key=1", "search.text=a=b"});
  ConfigSection root = document.root();
  ConfigSection search = root.section("search");
  CHECK(search.integer("seed", 0) == 7);
  CHECK(search.integers("list", std::nullopt) == std::vector<int64_t>{1, 5, 6});
  CHECK(search.text("text", std::nullopt) == "a=b");
  CHECK(root.sections("devices")[0].text("name", "") == "b");
  CHECK(root.sections("devices")[1].text("name", "") == "c");
  CHECK(root.section("new").section("deep").texts("key", std::nullopt) ==
        std::vector<std::string>{"x", "y"});
  CHECK(root.section("empty").integer("key", 0) == 1);
  CHECK_NOTHROW(document.throw_if_faults());
}

TEST_CASE("a malformed override says what an override is") {
  const std::string form = ": expected key=value or key.key=value, for example search.seed=7";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"search", "--set search" + form},
      {"=1", "--set =1" + form},
      {"a..b=1", "--set a..b=1" + form},
      {".a=1", "--set .a=1" + form},
      {"", "--set " + form},
      {"scalar.key=1",
       "--set scalar.key=1: /scalar = 3, expected a mapping or a list to set \"key\" in"},
      {"list.5=1",
       "--set list.5=1: /list/5 does not exist, expected an index from 0 to 2 (the last one "
       "appends)"},
      {"list.x=1",
       "--set list.x=1: /list/x does not exist, expected an index from 0 to 2 (the last one "
       "appends)"},
      {"a=[1", "--set a=[1: end of sequence flow not found"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    const std::string override_text = text;
    CHECK(message_of<ConfigError>([&] { read("scalar: 3\nlist: [1, 2]", {override_text}); }) ==
          expected);
  }
}

TEST_CASE("a text that is not YAML is refused with line and column") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"a: [1, 2\nb: 3\n", "mobile.yaml:2:2: end of sequence flow not found"},
      {"a: \"open\n", "mobile.yaml:2:2: illegal EOF in scalar"},
      {"a: \"open", "mobile.yaml:2:2: illegal EOF in scalar"},
      {"a: 'open\nb: 3\n", "mobile.yaml:3:2: illegal EOF in scalar"},
      {"a: \"", "mobile.yaml:2:2: illegal EOF in scalar"},
      {"a: b: c\n", "mobile.yaml:1:5: illegal map value"},
      {"a: *missing\n", "mobile.yaml:1:4: the referenced anchor is not defined"},
      {"a: !python/object {}\n",
       "mobile.yaml:1:4: the tag !python/object is not supported, expected no tag"},
      {"? [a, b]\n: 1\n", "mobile.yaml:1:3: key = [a, b], expected a plain name"},
      {"~: 1\n", "mobile.yaml:1:1: key = null, expected a plain name"},
      {"a: &x [*x]\n", "mobile.yaml:1:8: the alias stands inside the value that it names"},
      {"a: 1\nb: \xff\n", "mobile.yaml:2:4: byte = 255, expected UTF-8 text"},
      {"a: \xc3\xa9\x01", "mobile.yaml:1:5: byte = 1, expected UTF-8 text"},
      {"a: \xc0\xaf", "mobile.yaml:1:4: byte = 192, expected UTF-8 text"},
      {"a: \xe0\x80\xaf", "mobile.yaml:1:4: byte = 224, expected UTF-8 text"},
      {"a: \xed\xa0\x80", "mobile.yaml:1:4: byte = 237, expected UTF-8 text"},
      {"a: \xf4\x90\x80\x80", "mobile.yaml:1:4: byte = 244, expected UTF-8 text"},
      {"a: \xe2\x98", "mobile.yaml:1:4: byte = 226, expected UTF-8 text"},
      {std::string("a: \0", 4), "mobile.yaml:1:4: byte = 0, expected UTF-8 text"},
      {"? " + std::string(129, 'k') + "\n: 1\n",
       "mobile.yaml:1:3: key = " + std::string(60, 'k') + "..., expected at most 128 bytes"},
      {"a: 1\n---\nb: 2\n",
       "mobile.yaml:1:1: a second document begins at line 3, expected only one"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    const std::string copy = text;
    const std::string message = message_of<ConfigError>([&] { read(copy); });
    CHECK(message.substr(0, expected.size()) == expected);
  }
}

TEST_CASE("aliases are copies, and a bomb of aliases is refused") {
  ConfigDocument document = read("base: &b {x: 1}\nother: *b\n", {"other.x=2"});
  CHECK(document.root().section("base").integer("x", 0) == 1);
  CHECK(document.root().section("other").integer("x", 0) == 2);

  std::string bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 12; ++level) {
    const std::string below = "*l" + std::to_string(level - 1);
    const std::string name = "l" + std::to_string(level);
    bomb += name + ": &" + name + " [";
    for (int i = 0; i < 9; ++i) bomb += below + ", ";
    bomb += below + "]\n";
  }
  const std::string message = message_of<ConfigError>([&] { read(bomb); });
  CHECK(message.find("more than 200000 values, expected a configuration") != std::string::npos);
}

TEST_CASE("deep nesting is refused instead of exhausting the stack") {
  const std::string text = "a: " + std::string(100000, '[');
  CHECK_THROWS_AS(read(text), ConfigError);
}

TEST_CASE("JSON is read by the same reader with its lines") {
  const std::string json =
      "{\n\t\"run\": {\"name\": \"x\\u00e9\\n\\\"q\\\"\\/\", \"deterministic\":true},\n"
      "  \"search\":{\"seed\":-1,\n    \"population\":63, "
      "\"widths\":[8,16],\"mutation\":1E-1}\n}\n";
  ConfigDocument document = read(json);
  CHECK(document.root().section("run").text("name", std::nullopt) == "x\xc3\xa9\n\"q\"/");
  CHECK(read_schema(json) ==
        "mobile.yaml:4: /search/population = 63, expected a multiple of 4 in [4, 4096]");
}

TEST_CASE("to_yaml and to_json keep types, order and overrides") {
  const std::string text =
      "z: 1\na: \"1\"\nreal: 2.50\nflag: true\nnothing: ~\nquoted: \"true\"\nlist: [1, \"2\", x "
      "y]\n"
      "deep: {list: [{b: 1}, {c: []}]}\nempty: {}\nspecial: \"a: # \\n\\t\\\"\\u263a\"\n"
      "\"key: odd\": 5\nbig: 123456789012345678901234567890\ntime: 20ms\n";
  const ConfigDocument document = read(text, {"z=9"});
  const nlohmann::ordered_json expected = {
      {"z", 9},
      {"a", "1"},
      {"real", 2.5},
      {"flag", true},
      {"nothing", nullptr},
      {"quoted", "true"},
      {"list", {1, "2", "x y"}},
      {"deep", {{"list", {{{"b", 1}}, {{"c", nlohmann::ordered_json::array()}}}}}},
      {"empty", nlohmann::ordered_json::object()},
      {"special", "a: # \n\t\"\xe2\x98\xba"},
      {"key: odd", 5},
      {"big", 123456789012345678901234567890.0},
      {"time", "20ms"}};
  CHECK(document.to_json() == expected.dump(2) + "\n");
  // Written and read again, in either form, it is the same document.
  CHECK(read(document.to_yaml()).to_json() == document.to_json());
  CHECK(read(document.to_json()).to_json() == document.to_json());
  CHECK(read(document.to_yaml()).to_yaml() == document.to_yaml());
}

TEST_CASE("the resolved document is readable YAML") {
  const std::string text =
      "run: {name: fashion, note: \"7\", none: }\nsearch:\n  constraints: [\"params <= 2M\", "
      "a/b@c]\n"
      "  grid: [[1, 2], [3, 4]]\ndevices:\n  - {name: pi4, agents: [a.local:50051]}\n  - {}\n"
      "\"null\": -0.5\n";
  CHECK(read(text).to_yaml() ==
        "run:\n  name: fashion\n  note: \"7\"\n  none: null\nsearch:\n"
        "  constraints: [\"params <= 2M\", a/b@c]\n  grid:\n    - [1, 2]\n    - [3, 4]\n"
        "devices:\n  - name: pi4\n    agents: [\"a.local:50051\"]\n  - {}\n\"null\": -0.5\n");
}

TEST_CASE("long values are shortened in messages without cutting a character") {
  const std::string word = std::string(59, 'x') + "\xc3\xa9 and more";
  ConfigDocument document = read("a: " + word);
  document.root().integer("a", 1);
  CHECK(faults_of(document) ==
        "mobile.yaml:1: /a = " + std::string(59, 'x') + "..., expected an integer");
}

TEST_CASE("ConfigDocument::read_file keeps its path and says when it cannot read") {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder / "run.yaml";
  write_file_atomically(path, "seed: 3\n");
  ConfigDocument document = ConfigDocument::read_file(path, {"seed=4"});
  CHECK(document.path() == path);
  CHECK(document.root().integer("seed", 0) == 4);
  const std::filesystem::path missing = folder / "none.yaml";
  CHECK(message_of<ConfigError>([&] { ConfigDocument::read_file(missing); }) ==
        missing.string() + ": cannot open for reading: No such file or directory");
  CHECK(message_of<ConfigError>([&] { ConfigDocument::read_file(folder.path()); }) ==
        folder.path().string() + ": cannot read: Is a directory");
}

}  // namespace
}  // namespace lathe
