#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <system_error>

#include "cli/commands/commands.h"
#include "cli/text_table.h"
#include "core/certificate.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDayS = 86400;
constexpr int64_t kAuthorityDays = 3650;
/// A board without a clock of its own wakes up at the time of its last shutdown.
constexpr int64_t kMarginDays = 1;
constexpr size_t kLongestName = 64;  // of a common name

/// One certificate to be made.
struct Wish {
  CertificateUse use;
  std::string name;                ///< of the files
  std::vector<std::string> hosts;  ///< the first is `name` for an agent
};

bool is_host(const std::string& text) {
  if (is_ip_address(text)) return true;
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.'; };
  return !text.empty() && std::isalnum(static_cast<unsigned char>(text.front())) != 0 &&
         text.find("..") == std::string::npos && std::all_of(text.begin(), text.end(), allowed);
}

/// "pi4.local,192.168.1.20" is one board with two names.
Wish agent_wish(const std::string& argument) {
  Wish wish{CertificateUse::Agent, "", {}};
  for (size_t begin = 0; begin <= argument.size();) {
    const size_t end = std::min(argument.find(',', begin), argument.size());
    wish.hosts.push_back(argument.substr(begin, end - begin));
    if (!is_host(wish.hosts.back())) {
      throw ConfigError("HOST " + argument + ": '" + wish.hosts.back() +
                        "', expected names or addresses without port, such as "
                        "pi4.local,192.168.1.20");
    }
    begin = end + 1;
  }
  wish.name = wish.hosts.front();
  std::replace(wish.name.begin(), wish.name.end(), ':', '-');  // scp takes what precedes as a host
  return wish;
}

Wish controller_wish(const std::string& name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; };
  if (name.empty() || !std::all_of(name.begin(), name.end(), allowed))
    throw ConfigError("--controller " + name + ": expected letters, digits, '-' and '_'");
  return {CertificateUse::Controller, name, {}};
}

fs::path certificate_file(const fs::path& folder, const std::string& name) {
  return folder / (name + ".pem");
}
fs::path key_file(const fs::path& folder, const std::string& name) {
  return folder / (name + ".key");
}

std::vector<Wish> wishes_of(const CertificateArguments& arguments) {
  std::vector<Wish> wishes;
  for (const std::string& name : arguments.controllers) wishes.push_back(controller_wish(name));
  if (wishes.empty() && !fs::exists(certificate_file(arguments.folder, "controller")))
    wishes.push_back(controller_wish("controller"));
  for (const std::string& host : arguments.hosts) wishes.push_back(agent_wish(host));
  std::set<std::string> names{"ca"};
  for (const Wish& wish : wishes) {
    if (wish.name.size() > kLongestName) {
      throw ConfigError("name = " + wish.name + ", expected at most " +
                        std::to_string(kLongestName) + " characters");
    }
    if (!names.insert(wish.name).second)
      throw ConfigError("name = " + wish.name + ", expected each name once and none called ca");
    const fs::path file = certificate_file(arguments.folder, wish.name);
    if (!arguments.renew && (fs::exists(file) || fs::exists(key_file(arguments.folder, wish.name))))
      throw ConfigError(file.string() + ": there already; --renew replaces it");
  }
  return wishes;
}

/// Writes a file that only its owner may read from its first moment on.
void write_secret(const fs::path& path, const std::string& text) {
  const fs::path temporary = path.string() + ".new";
  fs::remove(temporary);
  const FileDescriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written =
      file.valid() &&
      ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(file.get()) == 0 && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (written) return;
  const std::string reason = std::generic_category().message(errno);
  ::unlink(temporary.c_str());
  throw DataError(path.string() + ": cannot write: " + reason);
}

void store(const fs::path& folder, const std::string& name, const Identity& identity) {
  write_secret(key_file(folder, name), identity.key);
  write_file_atomically(certificate_file(folder, name), identity.certificate);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder, error)) return;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) throw DataError(folder.string() + ": cannot be created: " + error.message());
}

CertificateRequest request_for(const Wish& wish, int64_t days, int64_t latest_s) {
  const int64_t now_s = unix_now_s();
  return {wish.use, wish.name, wish.hosts, now_s - kMarginDays * kDayS,
          std::min(now_s + days * kDayS, latest_s)};
}

/// Reads the authority of the folder, or makes one where there is none.
Identity authority_of(const fs::path& folder) {
  const fs::path certificate = certificate_file(folder, "ca");
  const fs::path key = key_file(folder, "ca");
  if (fs::exists(certificate) || fs::exists(key)) return read_identity(certificate, key);
  Wish wish{CertificateUse::Authority, "", {}};
  CertificateRequest request = request_for(wish, kAuthorityDays, INT64_MAX);
  // Two authorities of one name would make every message about them a riddle.
  request.name =
      "lathe authority " +
      sha256_hex(std::to_string(request.not_after_s) + fs::absolute(folder).string()).substr(0, 8);
  const Identity identity = issue_certificate(request, nullptr);
  store(folder, "ca", identity);
  return identity;
}

void print_certificates(const fs::path& folder) {
  TextTable table({"certificate", "for", "valid until"});
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".pem") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const CertificateFacts facts = certificate_facts(read_file(file, 1 << 20), file.string());
    const bool authority = file.stem() == "ca";
    const int64_t left_s = facts.not_after_s - unix_now_s();
    table.add({file.string(),
               authority             ? "signing: " + facts.name
               : facts.hosts.empty() ? "a controller"
                                     : join(facts.hosts, ", "),
               utc_date(facts.not_after_s) +
                   (left_s < 0 ? " EXPIRED"
                               : " (" + std::to_string((left_s + kDayS - 1) / kDayS) + " days)")});
  }
  std::printf("%s", table.text().c_str());
}

void print_next_steps(const fs::path& folder, const std::vector<Wish>& wishes) {
  for (const Wish& wish : wishes) {
    const std::string certificate = certificate_file(folder, wish.name).string();
    const std::string key = key_file(folder, wish.name).string();
    const std::string ca = certificate_file(folder, "ca").string();
    if (wish.use == CertificateUse::Controller) {
      std::printf(
          "\nIn the device entry of a config, or as --tls-ca, --tls-certificate and --tls-key:\n"
          "  tls: {ca: %s, certificate: %s, key: %s}\n",
          ca.c_str(), certificate.c_str(), key.c_str());
      continue;
    }
    const char* host = wish.hosts.front().c_str();
    std::printf(
        "\nTo the board %s, and there to /etc/lathe (docs/boards.md):\n"
        "  scp %s %s:ca.pem; scp %s %s:agent.pem; scp %s %s:agent.key\n"
        "  ssh -t %s 'sudo install -D -o lathe -m 600 -t /etc/lathe ca.pem agent.pem agent.key && "
        "rm agent.key'\n",
        host, ca.c_str(), host, certificate.c_str(), host, key.c_str(), host, host);
  }
  std::printf("\n%s signs further certificates: it stays on this machine.\n",
              key_file(folder, "ca").c_str());
}

}  // namespace

void certificates_command(const CertificateArguments& arguments) {
  const std::vector<Wish> wishes = wishes_of(arguments);
  make_folder(arguments.folder);
  if (!wishes.empty()) {
    const Identity authority = authority_of(arguments.folder);
    const int64_t latest_s = certificate_facts(authority.certificate, "ca.pem").not_after_s;
    if (latest_s < unix_now_s()) {
      throw DataError(certificate_file(arguments.folder, "ca").string() + ": expired on " +
                      utc_date(latest_s) + ", expected a valid one: begin with a new folder");
    }
    for (const Wish& wish : wishes) {
      store(arguments.folder, wish.name,
            issue_certificate(request_for(wish, arguments.days, latest_s), &authority));
    }
  }
  print_certificates(arguments.folder);
  if (!wishes.empty()) print_next_steps(arguments.folder, wishes);
}

}  // namespace lathe::cli
