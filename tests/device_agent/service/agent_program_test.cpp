// The program itself: command line, files, signals, and what dies with whom.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file.h"
#include "core/file_descriptor.h"
#include "device_agent/service/idle_memory.h"
#include "device_agent/service/service_manager.h"
#include "tests/device_agent/service/agent_fixture.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
using namespace lathe::device;
using namespace lathe::device::testing;

namespace {

constexpr double kPatience_s = 20.0;

// Polls until `done`, which some other process brings about.
template <typename Condition>
bool eventually(const Condition& done) {
  const double end_s = steady_clock().now_s() + kPatience_s;
  while (!done()) {
    if (steady_clock().now_s() > end_s) return false;
    steady_clock().sleep_s(0.005);
  }
  return true;
}

// Starts lathe-test-agent with its output in `log`.
pid_t start_agent(const std::vector<std::string>& options, const std::filesystem::path& log) {
  std::vector<std::string> words{std::string(LATHE_BINARY_DIR) + "/bin/lathe-test-agent"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t process = ::fork();
  if (process != 0) return process;
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

int exit_code(pid_t process) {
  int status = 0;
  if (!eventually([&] { return ::waitpid(process, &status, WNOHANG) == process; })) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool alive(pid_t process) {
  std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(stat, line)) return false;
  return line[line.rfind(')') + 2] != 'Z';
}

std::vector<int> children_of(pid_t process) {
  std::vector<int> children;
  std::error_code error;
  const std::string folder = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(folder, error)) {
    std::ifstream file(task.path() / "children");
    for (int child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

std::string address_in(const std::filesystem::path& file) {
  REQUIRE(eventually([&] { return std::filesystem::exists(file); }));
  std::string address = read_file(file);
  address.pop_back();
  return address;
}

std::string write_token(const test::TemporaryFolder& folder) {
  write_file_atomically(folder / "token", "0123456789abcdef\n");
  return (folder / "token").string();
}

std::unique_ptr<v1::DeviceAgent::Stub> connect(const std::string& address) {
  return v1::DeviceAgent::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
}

}  // namespace

TEST_CASE("pages of programs and libraries are given back and come again when they are used") {
  const auto file_pages = [] {
    std::ifstream statm("/proc/self/statm");
    long size = 0;
    long resident = 0;
    long of_files = 0;
    statm >> size >> resident >> of_files;
    return of_files;
  };
  AgentFixture agent;
  v1::DescribeResponse before;
  grpc::ClientContext first;
  REQUIRE(agent.stub().Describe(&first, {}, &before).ok());
  const long used = file_pages();
  release_idle_memory();
  CHECK(file_pages() < used);
  v1::DescribeResponse after;
  grpc::ClientContext second;
  REQUIRE(agent.stub().Describe(&second, {}, &after).ok());
  CHECK(after.fingerprint() == before.fingerprint());
}

TEST_CASE("the agent says where it listens and stops at SIGTERM") {
  test::TemporaryFolder folder;
  const pid_t agent = start_agent({"--port-file", (folder / "port").string()}, folder / "log");
  const std::string address = address_in(folder / "port");
  CHECK(address.rfind("127.0.0.1:", 0) == 0);
  CHECK(eventually([&] {
    return read_file(folder / "log").rfind("lathe-agent listens on " + address, 0) == 0;
  }));
  grpc::ClientContext context;
  v1::DescribeResponse response;
  CHECK(connect(address)->Describe(&context, {}, &response).ok());
  ::kill(agent, SIGTERM);
  CHECK(exit_code(agent) == 0);
}

TEST_CASE("the agent tells the service manager how it is, and gives signs of life") {
  test::TemporaryFolder folder;
  const std::string path = (folder / "notify").string();
  const FileDescriptor manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::copy(path.begin(), path.end(), address.sun_path);
  REQUIRE(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const timeval patience{static_cast<time_t>(kPatience_s), 0};
  ::setsockopt(manager.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const auto told = [&] {
    char text[512];
    const ssize_t size = ::recv(manager.get(), text, sizeof text, 0);
    return size < 0 ? std::string("(nothing)") : std::string(text, static_cast<size_t>(size));
  };
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "200000", 1);
  const pid_t agent = start_agent({"--token-file", write_token(folder)}, folder / "log");
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  CHECK(told().rfind("READY=1\nSTATUS=listens on 127.0.0.1:", 0) == 0);
  CHECK(told() == "WATCHDOG=1");
  CHECK(told() == "WATCHDOG=1");
  ::kill(agent, SIGTERM);
  std::string last = told();
  while (last == "WATCHDOG=1") last = told();
  CHECK(last.rfind("STOPPING=1\n", 0) == 0);
  CHECK(exit_code(agent) == 0);
}

TEST_CASE("the agent answers for its watchdog only when it is meant") {
  // The variables are another process's: of a shell that a service started, for example.
  ::setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
  ::setenv("WATCHDOG_USEC", "200000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  CHECK(ServiceManager().watchdog_interval_s() < 0.0);
  ::unsetenv("WATCHDOG_PID");
  CHECK(ServiceManager().watchdog_interval_s() == doctest::Approx(0.1));
  ServiceManager().tell("READY=1");  // nobody listens
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(ServiceManager().watchdog_interval_s() < 0.0);
  ::unsetenv("WATCHDOG_USEC");
}

TEST_CASE("mistakes on the command line end with code 2 and their reason") {
  test::TemporaryFolder folder;
  const auto refuse = [&](const std::vector<std::string>& options) {
    CHECK(exit_code(start_agent(options, folder / "log")) == 2);
    return read_file(folder / "log");
  };
  CHECK(refuse({"--listen", "0.0.0.0:0"}) ==
        "lathe-agent: listen = 0.0.0.0:0 without TLS, expected a loopback address, the three --tls "
        "files, or --allow-plaintext\n");
  CHECK(refuse({"--cpu", "4095"}) ==
        "lathe-agent: --cpu = 4095, expected a core that this process may use\n");
  CHECK(refuse({"--no-such-option"}).find("--no-such-option") != std::string::npos);
  CHECK(exit_code(start_agent({"--token-file", (folder / "none").string()}, folder / "log")) == 3);
  CHECK(read_file(folder / "log") == "lathe-agent: token file " + (folder / "none").string() +
                                         ": empty or unreadable, expected one line with the "
                                         "token\n");
}

TEST_CASE("the help teaches with examples") {
  test::TemporaryFolder folder;
  CHECK(exit_code(start_agent({"--help"}, folder / "log")) == 0);
  const std::string help = read_file(folder / "log");
  for (const char* part : {"Examples", "--token-file", "--tls-ca", "--cpu", "Exit codes"}) {
    CHECK_MESSAGE(help.find(part) != std::string::npos, std::string(part));
  }
}

TEST_CASE("an agent ends with the program that started it") {
  test::TemporaryFolder folder;
  const pid_t parent = ::fork();
  if (parent == 0) {
    const pid_t agent = start_agent(
        {"--die-with-parent", "--port-file", (folder / "port").string()}, folder / "log");
    std::ofstream(folder / "pid") << agent << std::flush;
    ::pause();
    ::_exit(0);
  }
  address_in(folder / "port");
  const pid_t agent = std::stoi(read_file(folder / "pid"));
  CHECK(alive(agent));
  ::kill(parent, SIGKILL);
  exit_code(parent);
  CHECK(eventually([&] { return !alive(agent); }));
}

TEST_CASE("a worker ends with a killed agent, even in an endless loop") {
  test::TemporaryFolder folder;
  const pid_t agent = start_agent({"--port-file", (folder / "port").string()}, folder / "log");
  const auto stub = connect(address_in(folder / "port"));
  HeldLease lease(*stub);
  REQUIRE(lease.wait());
  const std::string model = small_model();
  grpc::ClientContext up;
  v1::UploadModelResponse uploaded;
  auto upload = stub->UploadModel(&up, &uploaded);
  v1::UploadModelRequest part;
  part.set_sha256(sha256_hex(model));
  part.set_chunk(model);
  upload->Write(part);
  upload->WritesDone();
  REQUIRE(upload->Finish().ok());
  // The reference network is calibrated before the hanging one is loaded; any worker will do.
  grpc::ClientContext context;
  auto stream = stub->Measure(
      &context,
      AgentFixture::quick_request(lease.lease(), "hang", sha256_hex(model), "fault:hang"));
  std::vector<int> workers;
  REQUIRE(eventually([&] { return !(workers = children_of(agent)).empty(); }));
  ::kill(agent, SIGKILL);
  exit_code(agent);
  for (const int worker : workers) CHECK(eventually([&] { return !alive(worker); }));
  stream->Finish();
}
