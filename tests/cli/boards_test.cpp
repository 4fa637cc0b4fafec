// The commands about boards, as a user runs them, with a real agent on loopback.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/certificate.h"
#include "core/clock.h"
#include "core/file.h"
#include "latency/store/measurement_store.h"
#include "network/onnx.h"
#include "network/passes.h"
#include "network/quantize.h"
#include "network/reference_networks.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

using namespace lathe;
using Json = nlohmann::json;
using test::TemporaryFolder;

namespace {

using Output = std::pair<int, std::string>;

Output lathe_program(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), std::string(LATHE_BINARY_DIR) + "/bin/lathe");
  return test::run_program(arguments);
}

std::string mode_of(const std::filesystem::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  char text[8];
  std::snprintf(text, sizeof text, "%03o", status.st_mode & 0777U);
  return text;
}

/// A real agent on a free loopback port.
class Agent {
 public:
  Agent(const TemporaryFolder& folder, std::vector<std::string> options) {
    const auto port_file = folder / "address";
    std::filesystem::remove(port_file);
    options.insert(options.begin(), {std::string(LATHE_BINARY_DIR) + "/bin/lathe-agent",
                                     "--port-file", port_file.string()});
    process_ = std::make_unique<test::ChildProcess>(options);
    const double end_s = steady_clock().now_s() + 60.0;
    while (!std::filesystem::exists(port_file) && !process_->ended() &&
           steady_clock().now_s() < end_s) {
      steady_clock().sleep_s(0.01);
    }
    INFO(process_->output());
    REQUIRE(std::filesystem::exists(port_file));
    address_ = read_file(port_file);
    address_.pop_back();
  }
  const std::string& address() const { return address_; }

 private:
  std::unique_ptr<test::ChildProcess> process_;
  std::string address_;
};

std::vector<std::string> tls(const std::filesystem::path& folder, const std::string& name) {
  return {"--tls-ca",          (folder / "ca.pem").string(),
          "--tls-certificate", (folder / (name + ".pem")).string(),
          "--tls-key",         (folder / (name + ".key")).string()};
}

template <typename Items>
std::vector<std::string> operator+(std::vector<std::string> left, const Items& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

using Words = std::vector<std::string>;

std::filesystem::path write_model(const TemporaryFolder& folder) {
  network::ReferenceOptions options;
  options.resolution = 32;
  options.classes = 10;
  const network::Network network = network::reference_network("mobilenet_v2_0.35", options);
  const auto path = folder / "model.onnx";
  write_file_atomically(path, network::to_onnx_without_weights(network::deploy(network), 1));
  return path;
}

}  // namespace

TEST_CASE("lathe certs makes an authority and certificates with which boards and lathe meet") {
  const TemporaryFolder folder;
  const auto certs = folder / "certs";
  const auto [code, output] =
      lathe_program({"certs", certs.string(), "localhost,127.0.0.1", "pi4-b.local"});
  INFO(output);
  REQUIRE(code == 0);
  CHECK(output.find("localhost, 127.0.0.1") != std::string::npos);
  CHECK(output.find("tls: {ca: " + (certs / "ca.pem").string()) != std::string::npos);
  CHECK(output.find("To the board pi4-b.local") != std::string::npos);
  CHECK(mode_of(certs) == "700");
  for (const char* name : {"ca", "controller", "localhost", "pi4-b.local"}) {
    CHECK(mode_of(certs / (std::string(name) + ".key")) == "600");
    CHECK_NOTHROW(
        read_identity(certs / (std::string(name) + ".pem"), certs / (std::string(name) + ".key")));
  }
  const CertificateFacts board =
      certificate_facts(read_file(certs / "localhost.pem"), "localhost.pem");
  CHECK(board.hosts == Words{"localhost", "127.0.0.1"});
  const int64_t day_s = 86400;
  const int64_t now_s = unix_now_s();
  CHECK(board.not_before_s <= now_s - day_s);
  CHECK(board.not_after_s > now_s + 824 * day_s);
  CHECK(board.not_after_s <= now_s + 825 * day_s);

  const std::string token_file = (folder / "token").string();
  write_file_atomically(token_file, "a token of the laboratory\n");
  const Agent agent(folder, Words{"--token-file", token_file} + tls(certs, "localhost"));
  const Words devices = {"devices", "--json", "--agent", agent.address()};

  SUBCASE("certificates and token open the agent, a name as well as an address") {
    const std::string named = "localhost" + agent.address().substr(agent.address().rfind(':'));
    for (const std::string& address : {agent.address(), named}) {
      const auto [found, json] =
          lathe_program(Words{"devices", "--json", "--agent", address, "--token-file", token_file} +
                        tls(certs, "controller"));
      INFO(json);
      REQUIRE(found == 0);
      CHECK(Json::parse(json).at(0).at("address") == address);
    }
    const auto [refused, text] = lathe_program(devices + tls(certs, "controller"));
    CHECK(refused == 4);
    CHECK(text.find("authorization is missing") != std::string::npos);
  }
  SUBCASE("a network is measured with the credentials of a config") {
    const auto config = folder / "boards.yaml";
    write_file_atomically(config,
                          "run: {name: boards}\ndata: {dataset: fashion_mnist}\n"
                          "space: " LATHE_SOURCE_DIR
                          "/configs/spaces/mobilenet_28.yaml\n"
                          "search: {objectives: [accuracy, latency@lab]}\n"
                          "devices:\n  - name: lab\n    agents: [" +
                              agent.address() + "]\n    token_file: " + token_file +
                              "\n    tls: {ca: " + (certs / "ca.pem").string() +
                              ", certificate: " + (certs / "controller.pem").string() +
                              ", key: " + (certs / "controller.key").string() + "}\n");
    const auto [measured, json] =
        lathe_program({"measure", write_model(folder).string(), "--config", config.string(),
                       "--half-width", "0.2", "--budget", "1s", "--json"});
    INFO(json);
    REQUIRE(measured == 0);
    CHECK(Json::parse(json).at("measurements").at(0).at("device") == "lab");
  }
  SUBCASE("plain text, a board's own certificate and another authority stay outside") {
    const auto [plain, plain_text] = lathe_program(devices + Words{"--token-file", token_file});
    CHECK(plain == 4);
    CHECK(plain_text.find("it speaks TLS and this controller plain text") != std::string::npos);
    const auto [board_code, board_text] = lathe_program(devices + tls(certs, "pi4-b.local"));
    CHECK(board_code == 4);
    CHECK(board_text.find("it refuses this controller's certificate") != std::string::npos);
    const auto other = folder / "other";
    REQUIRE(lathe_program({"certs", other.string()}).first == 0);
    const auto [strange, strange_text] = lathe_program(devices + tls(other, "controller"));
    CHECK(strange == 4);
    CHECK(strange_text.find("was not signed by the authority in " + (other / "ca.pem").string()) !=
          std::string::npos);
  }
}

TEST_CASE("lathe certs makes what is missing and replaces nothing unasked") {
  const TemporaryFolder folder;
  const std::string certs = (folder / "certs").string();
  REQUIRE(lathe_program({"certs", certs, "pi4.local"}).first == 0);
  const auto content = [&](const char* name) { return read_file(folder / "certs" / name); };
  const std::string authority = content("ca.pem");
  const std::string controller = content("controller.pem");
  const std::string board = content("pi4.local.pem");

  const auto [code, output] = lathe_program({"certs", certs, "pi5.local", "pi4.local"});
  CHECK(code == 2);
  CHECK(output == "lathe: " + certs + "/pi4.local.pem: there already; --renew replaces it\n");
  CHECK_FALSE(std::filesystem::exists(folder / "certs" / "pi5.local.pem"));

  CHECK(lathe_program({"certs", certs, "pi5.local", "--controller", "laptop"}).first == 0);
  CHECK(std::filesystem::exists(folder / "certs" / "laptop.key"));
  CHECK(content("ca.pem") == authority);
  CHECK(content("controller.pem") == controller);
  CHECK(content("pi4.local.pem") == board);

  CHECK(lathe_program({"certs", certs, "pi4.local", "--renew", "--days", "30"}).first == 0);
  CHECK(content("pi4.local.pem") != board);
  CHECK(content("ca.pem") == authority);
  CHECK(content("controller.pem") == controller);

  const auto [listed, list] = lathe_program({"certs", certs});
  CHECK(listed == 0);
  CHECK(list.find("(30 days)") != std::string::npos);
  CHECK(list.find("(825 days)") != std::string::npos);
  CHECK(list.find("(3650 days)") != std::string::npos);
}

TEST_CASE("lathe certs refuses what cannot be a certificate's name, before it makes anything") {
  const TemporaryFolder folder;
  const std::string certs = (folder / "certs").string();
  const std::string long_name(65, 'a');
  const std::vector<std::pair<Words, std::string>> table = {
      {{"pi4.local:50051"},
       "HOST pi4.local:50051: 'pi4.local:50051', expected names or addresses without port, such as "
       "pi4.local,192.168.1.20"},
      {{"pi4.local,"},
       "HOST pi4.local,: '', expected names or addresses without port, such as "
       "pi4.local,192.168.1.20"},
      {{"../pi4"},
       "HOST ../pi4: '../pi4', expected names or addresses without port, such as "
       "pi4.local,192.168.1.20"},
      {{"pi4", "pi4"}, "name = pi4, expected each name once and none called ca"},
      {{"ca"}, "name = ca, expected each name once and none called ca"},
      {{"controller"}, "name = controller, expected each name once and none called ca"},
      {{long_name}, "name = " + long_name + ", expected at most 64 characters"},
      {{"--controller", "a/b"}, "--controller a/b: expected letters, digits, '-' and '_'"},
  };
  for (const auto& [arguments, message] : table) {
    const auto [code, output] = lathe_program(Words{"certs", certs} + arguments);
    CHECK(code == 2);
    CHECK(output == "lathe: " + message + "\n");
  }
  CHECK_FALSE(std::filesystem::exists(certs));
  std::filesystem::create_directories(certs);
  write_file_atomically(folder / "certs" / "ca.pem", test::TestAuthority().certificate());
  const auto [code, output] = lathe_program({"certs", certs, "pi4"});
  CHECK(code == 3);
  CHECK(output.find(certs + "/ca.key: cannot open for reading") != std::string::npos);
}

TEST_CASE("lathe devices --doctor says what was read, what it does and what mends it") {
  const TemporaryFolder folder;
  const Agent agent(folder, {"--emulated"});
  const auto [code, output] = lathe_program({"devices", "--agent", agent.address(), "--doctor"});
  INFO(output);
  REQUIRE(code == 0);
  CHECK(output.find("\n  problem  emulator\n"
                    "    read   the agent's option --emulated\n"
                    "    effect times mean nothing here, outputs are right\n"
                    "    mend   measure on the board itself\n") != std::string::npos);
  const auto [listed, list] = lathe_program({"devices", "--agent", agent.address()});
  CHECK(listed == 0);
  CHECK(list.find("problem      emulator") != std::string::npos);
  const auto [as_json, json] = lathe_program({"devices", "--agent", agent.address(), "--json"});
  REQUIRE(as_json == 0);
  const Json finding = Json::parse(json).at(0).at("findings").at(0);
  CHECK(finding.at("severity") == "problem");
  CHECK(finding.at("topic") == "emulator");
}

TEST_CASE("lathe measure runs quantised files in int8 by itself, and others on request") {
  const TemporaryFolder folder;
  const std::string random = write_model(folder).string();
  const network::Network network = network::reference_network("mobilenet_v2_0.35", {32, 3, 10});
  network::Model model{network, network::random_weights(network, 1)};
  const std::string floats = (folder / "floats.onnx").string();
  const std::string integers = (folder / "integers.onnx").string();
  write_file_atomically(floats, network::to_onnx(model));
  write_file_atomically(integers, network::to_onnx(network::quantize_nominally(model)));
  const auto measure = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "measure");
    arguments.insert(arguments.end(), {"--half-width", "0.3", "--budget", "0.2s"});
    return lathe_program(arguments);
  };
  const auto precision = [&measure](std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const auto [code, text] = measure(arguments);
    INFO(text);
    REQUIRE(code == 0);
    return Json::parse(text)
        .at("measurements")
        .at(0)
        .at("latency")
        .at("conditions")
        .at("precision")
        .get<std::string>();
  };
  CHECK(precision({integers}) == "int8");
  CHECK(precision({integers, "--precision", "fp32"}) == "fp32");
  CHECK(precision({floats}) == "fp32");
  CHECK(precision({random, "--precision", "int8"}) == "int8");
  const auto [code, text] = measure({integers, "--profile"});
  CHECK(code == 0);
  CHECK(text.find("The model is quantised and was measured in int8 (--precision fp32: the floats "
                  "that its integers stand for).") != std::string::npos);
  CHECK(text.find("conv2d") != std::string::npos);
  const auto [refused, reason] = measure({floats, "--precision", "int8"});
  CHECK(refused == 4);
  CHECK(reason.find("xnnpack: precision = int8, but the model is not quantised, expected a "
                    "quantised model (QDQ), or one without weights") != std::string::npos);
  CHECK(measure({floats, "--precision", "int4"}).first == 2);
}

TEST_CASE("lathe measurements lists and exports a store") {
  const TemporaryFolder folder;
  {
    latency::MeasurementStore store(folder / "measurements.sqlite");
    for (uint64_t network = 0; network < 3; ++network) {
      latency::MeasurementKey key;
      key.structure.words = {network < 2 ? 0xaaU : 0xbbU, 1};
      key.engine = "xnnpack";
      key.engine_version = "2022-02";
      key.device_fingerprint = "f00d";
      latency::LatencyEstimate estimate;
      estimate.median_ms = 1.5;
      estimate.interval_ms = {1.4, 1.6, 0.95};
      estimate.conditions.extra["device"] = "pi4";
      store.add(key, estimate);
    }
  }
  const auto [code, list] = lathe_program({"measurements", folder.path().string()});
  INFO(list);
  CHECK(code == 0);
  CHECK(list.find("pi4     f00d         xnnpack 2022-02  fp32             1  burst             3  "
                  "       2      3") != std::string::npos);

  const auto [all_code, all] =
      lathe_program({"measurements", "export", (folder / "measurements.sqlite").string()});
  CHECK(all_code == 0);
  CHECK(std::count(all.begin(), all.end(), '\n') == 4);
  const std::string csv = (folder / "out.csv").string();
  const auto [some_code, message] =
      lathe_program({"measurements", "export", folder.path().string(), "--device", "pi4",
                     "--network", "00000000000000bb", "-o", csv});
  CHECK(some_code == 0);
  CHECK(message == csv + ": 1 measurements\n");
  const std::string text = read_file(csv);
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK(text.find(",00000000000000bb0000000000000001,pi4,f00d,xnnpack,2022-02,,fp32,1,0.01,1.5,1.4,"
                  "1.6,0.95,") != std::string::npos);

  const auto [none_code, none] =
      lathe_program({"measurements", "export", folder.path().string(), "--device", "pi5"});
  CHECK(none_code == 3);
  CHECK(none == "lathe: " + folder.path().string() +
                    ": no measurement of device pi5, expected at least one: `lathe measurements " +
                    folder.path().string() + "` lists what is there\n");
  const auto [missing_code, missing] = lathe_program({"measurements", "/nowhere/run"});
  CHECK(missing_code == 3);
  CHECK(missing ==
        "lathe: /nowhere/run: no such file: expected the folder of a run (lathe run CONFIG) or its "
        "measurements.sqlite\n");
  CHECK(lathe_program({"measurements"}).first == 2);
}

TEST_CASE("lathe table build measures blocks once, and a search starts from the table") {
  const TemporaryFolder folder;
  const auto config = folder / "tiny.yaml";
  write_file_atomically(config,
                        "run: {name: tiny, folder: " + (folder / "run").string() +
                            "}\n"
                            "space: " LATHE_SOURCE_DIR
                            "/configs/spaces/mobilenet_28.yaml\n"
                            "devices: [{name: local, measure: {half_width: 0.2, budget: 1s}}]\n"
                            "search: {objectives: [accuracy, latency@local]}\n");
  const auto table = folder / "tables" / "t.json";
  const std::vector<std::string> build = {
      "table", "build", config.string(), "-o", table.string(), "--networks", "8", "--blocks"};
  bool board_changed = false;  // on a busy machine: then what was measured before is measured again
  const auto blocks_of = [&](const std::string& count) {
    std::vector<std::string> arguments = build;
    arguments.push_back(count);
    const auto [code, output] = lathe_program(arguments);
    INFO(output);
    REQUIRE(code == 0);
    CHECK(output.find("reconciled, held out") != std::string::npos);
    board_changed = output.find("the board is faster or slower") != std::string::npos;
    return Json::parse(read_file(table)).at("blocks");
  };
  const Json few = blocks_of("5");
  REQUIRE(few.size() == 5);
  const Json more = blocks_of("8");
  REQUIRE(more.size() == 8);
  if (!board_changed) {
    for (size_t i = 0; i < few.size(); ++i) CHECK(more.at(i) == few.at(i));  // not measured again
  }
  const auto [exported, csv] =
      lathe_program({"measurements", "export", (folder / "tables" / "t.sqlite").string()});
  REQUIRE(exported == 0);
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);  // the names of the columns
  std::set<std::string> structures;
  size_t rows = 0;
  size_t poor = 0;  // what other programs disturbed is measured again when it is needed again
  for (; std::getline(lines, line); ++rows) {
    const size_t begin = line.find(',') + 1;
    structures.insert(line.substr(begin, line.find(',', begin) - begin));
    if (line.find(",disturbed,") != std::string::npos) ++poor;
  }
  CHECK(structures.size() == 8 + 8);
  CHECK(rows <= 8 + 8 + poor + (board_changed ? 5 + 8 : 0));

  const auto [planned, plan] = lathe_program(
      {"plan", config.string(), "--set",
       "search.strategy={name: surrogate, block_tables: {local: " + table.string() + "}}"});
  INFO(plan);
  CHECK(planned == 0);
  const auto [refused, message] =
      lathe_program({"table", "build", config.string(), "--device", "pi9"});
  CHECK(refused == 2);
  CHECK(message.find("--device pi9: expected a board of " + config.string() + ": local") !=
        std::string::npos);
  const auto [cells, reason] = lathe_program(
      {"table", "build", LATHE_SOURCE_DIR "/configs/replay_nasbench201.yaml", "--set",
       "accuracy.table=" + config.string(), "--set", "devices.0.replay=" + config.string()});
  CHECK(cells == 2);
  CHECK(reason.find("without networks") != std::string::npos);
}
