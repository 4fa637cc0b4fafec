#include "network/onnx_runtime_check.h"

#include <fcntl.h>
#include <onnx/onnx_pb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "onnx_runtime_script.h"

extern char** environ;

namespace lathe::network {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInstall =
    " (scripts/install.sh installs it, or set LATHE_NODE_MODULES to a node_modules folder that has "
    "onnxruntime-node)";
constexpr int kPackageMissing = 3;

[[noreturn]] void fail(const std::string& what) { throw DataError("onnx runtime: " + what); }

std::string reason(int error) { return std::error_code(error, std::generic_category()).message(); }

/// A folder of its own that is removed at the end.
class Workspace {
 public:
  Workspace() {
    std::string name = (fs::temp_directory_path() / "lathe-onnx-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail(name + ": " + reason(errno));
    path_ = name;
  }
  ~Workspace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

/// Where a started program writes: both streams go to files.
class FileActions {
 public:
  FileActions(const std::string& output, const std::string& errors) {
    ::posix_spawn_file_actions_init(&actions_);
    open(STDIN_FILENO, "/dev/null", O_RDONLY);
    open(STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC);
    open(STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC);
  }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  void open(int descriptor, const std::string& path, int flags) {
    ::posix_spawn_file_actions_addopen(&actions_, descriptor, path.c_str(), flags, 0600);
  }
  posix_spawn_file_actions_t actions_{};
};

/// Waits until the process ends or the time is over; then it is killed.
bool ends_in_time(pid_t process, double timeout_s) {
  // The wrapper of glibc 2.36 has no C linkage in its header.
  const auto descriptor = static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  if (descriptor < 0) return true;  // without pidfd the wait below has no limit
  pollfd waiting{descriptor, POLLIN, 0};
  const int limit_ms = static_cast<int>(std::min(std::ceil(timeout_s * 1e3), 2e9));
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, limit_ms);
  } while (ready < 0 && errno == EINTR);
  ::close(descriptor);
  if (ready == 0) ::kill(process, SIGKILL);
  return ready != 0;
}

/// Ctrl-C in the terminal is for lathe, which lets its step end; it must not reach the runtime.
class OwnProcessGroup {
 public:
  OwnProcessGroup() {
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
  }
  ~OwnProcessGroup() { ::posix_spawnattr_destroy(&attributes_); }
  OwnProcessGroup(const OwnProcessGroup&) = delete;
  OwnProcessGroup& operator=(const OwnProcessGroup&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

/// Returns the exit code. The program is started without a shell.
int run_program(const std::vector<std::string>& command, const FileActions& actions,
                double timeout_s) {
  std::vector<char*> arguments;
  for (const std::string& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  const OwnProcessGroup group;
  pid_t process = -1;
  const int error =
      ::posix_spawnp(&process, arguments[0], actions.get(), group.get(), arguments.data(), environ);
  if (error != 0) fail("cannot start " + command[0] + ": " + reason(error) + kInstall);
  const bool in_time = ends_in_time(process, timeout_s);
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    std::ostringstream text;
    text << command[0] << " did not end within " << timeout_s << " s";
    fail(text.str());
  }
  if (WIFSIGNALED(status)) {
    fail(command[0] + " was ended by signal " + std::to_string(WTERMSIG(status)));
  }
  return WEXITSTATUS(status);
}

/// Returns the folder of packages, or nothing where node shall look by itself.
std::string find_node_modules() {
  if (const char* given = ::getenv("LATHE_NODE_MODULES")) return given;
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (; !error && folder.has_relative_path(); folder = folder.parent_path()) {
    for (const char* place : {"tools/node_modules", "build/tools/node_modules"}) {
      if (fs::exists(folder / place / "onnxruntime-node", error)) return folder / place;
      error.clear();
    }
  }
  const fs::path built = LATHE_DEFAULT_NODE_MODULES;
  return fs::exists(built / "onnxruntime-node", error) ? built.string() : "";
}

/// Returns how many images the model takes at once: its fixed batch, or all of them.
int64_t images_at_once(const std::string& onnx_bytes, int64_t batch) {
  onnx::ModelProto model;
  if (!model.ParseFromString(onnx_bytes)) fail("the model cannot be parsed");
  if (model.graph().input_size() == 0) return batch;
  const auto& shape = model.graph().input(0).type().tensor_type().shape();
  const int64_t fixed = shape.dim_size() > 0 ? shape.dim(0).dim_value() : 0;
  if (fixed < 1) return batch;
  if (batch % fixed != 0) {
    fail("batch " + std::to_string(batch) + ", expected a multiple of the model's " +
         std::to_string(fixed));
  }
  return fixed;
}

std::string shape_argument(const Shape& shape) {
  return join(shape, "x", [](int64_t dimension) { return std::to_string(dimension); });
}

Shape parse_shape(const std::string& text) {
  std::istringstream stream(text);
  Shape shape;
  int64_t dimension = 0;
  while (stream >> dimension) shape.push_back(dimension);
  return shape;
}

/// The first line that says something, for a message.
std::string first_line(const std::string& text) {
  const std::string line = text.substr(0, text.find('\n'));
  return line.empty() ? "no reason given" : line;
}

std::string error_line(const std::string& text) {
  const size_t error = text.find("Error: ");
  return first_line(error == std::string::npos ? text : text.substr(error + 7));
}

}  // namespace

Tensor run_with_onnx_runtime(const std::string& onnx_bytes, const Tensor& input,
                             const OnnxRuntimeOptions& options) {
  const auto count = static_cast<size_t>(element_count(input.shape));
  if (input.shape.empty() || input.shape[0] < 1 || input.values.size() != count) {
    throw InvariantError("onnx runtime: input " + to_string(input.shape) + " of " +
                         std::to_string(input.values.size()) + " values");
  }
  const int64_t at_once = images_at_once(onnx_bytes, input.shape[0]);
  const Workspace workspace;
  const auto* raw = reinterpret_cast<const char*>(input.values.data());
  write_file_atomically(workspace.file("run.mjs"), kRunOnnxScript);
  write_file_atomically(workspace.file("model.onnx"), onnx_bytes);
  write_file_atomically(workspace.file("input"), {raw, count * sizeof(float)});
  const FileActions actions(workspace.file("stdout"), workspace.file("stderr"));
  const int code =
      run_program({options.node, workspace.file("run.mjs"), workspace.file("model.onnx"),
                   workspace.file("input"), workspace.file("output"), shape_argument(input.shape),
                   std::to_string(at_once), find_node_modules()},
                  actions, options.timeout_s);
  if (code != 0) {
    const std::string errors = read_file(workspace.file("stderr"));
    if (code == kPackageMissing) fail(first_line(errors) + kInstall);
    fail(error_line(errors));
  }
  const std::string bytes = read_file(workspace.file("output"));
  Tensor result{parse_shape(read_file(workspace.file("stdout"))), {}};
  result.values.resize(bytes.size() / sizeof(float));
  if (result.values.size() != static_cast<size_t>(element_count(result.shape))) {
    fail("output " + to_string(result.shape) + " of " + std::to_string(result.values.size()) +
         " values");
  }
  if (!bytes.empty()) std::memcpy(result.values.data(), bytes.data(), bytes.size());
  return result;
}

}  // namespace lathe::network
