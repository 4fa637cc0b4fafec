#include "core/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/terminal.h"

namespace lathe::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::Debug:
      return spdlog::level::debug;
    case Level::Info:
      return spdlog::level::info;
    case Level::Warning:
      return spdlog::level::warn;
    case Level::Error:
      return spdlog::level::err;
  }
  throw InvariantError("log: level = " + std::to_string(static_cast<int>(level)) +
                       ", expected a declared level");
}

/// Writes through terminal::write_line, so that log lines and the progress bar do not mix.
class TerminalSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t buffer;
    formatter_->format(message, buffer);
    std::string_view line(buffer.data(), buffer.size());
    while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
    const char* colour = "";
    if (message.level == spdlog::level::err) colour = "\x1b[31m";
    if (message.level == spdlog::level::warn) colour = "\x1b[33m";
    if (*colour != '\0' && terminal::is_terminal()) {
      terminal::write_line(colour + std::string(line) + "\x1b[0m");
    } else {
      terminal::write_line(line);
    }
  }
  void flush_() override {}
};

/// The two destinations; either may be missing.
struct Outputs {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> lines;
  std::shared_ptr<spdlog::logger> json;
};

Outputs& outputs() {
  static Outputs instance;
  return instance;
}

/// A field that is JSON keeps its type; any other text becomes a JSON string.
nlohmann::ordered_json field_value(const std::string& text) {
  nlohmann::ordered_json value = nlohmann::ordered_json::parse(text, nullptr, false);
  return value.is_discarded() ? nlohmann::ordered_json(text) : value;
}

/// The time now as 2026-11-20T06:51:29.123Z.
std::string utc_time() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  std::tm utc = {};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text = {};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  const std::string milliseconds = std::to_string(1000 + since_epoch.count() % 1000).substr(1);
  return std::string(text.data(), size) + "." + milliseconds + "Z";
}

std::string json_line(Level level, const std::string& message, const Fields& fields) {
  static constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  nlohmann::ordered_json line;
  line["time"] = utc_time();
  line["level"] = kNames[static_cast<size_t>(level)];
  line["message"] = message;
  for (const auto& [name, value] : fields) line[name] = field_value(value);
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string plain_line(const std::string& message, const Fields& fields) {
  std::string line = message;
  for (const auto& [name, value] : fields) line += "  " + name + "=" + value;
  return line;
}

void write(Level level, const std::string& message, const Fields& fields) {
  std::shared_ptr<spdlog::logger> lines;
  std::shared_ptr<spdlog::logger> json;
  {
    const std::lock_guard<std::mutex> lock(outputs().mutex);
    lines = outputs().lines;
    json = outputs().json;
  }
  const spdlog::level::level_enum spdlog_level = to_spdlog(level);
  if (lines && lines->should_log(spdlog_level)) {
    lines->log(spdlog_level, spdlog::string_view_t(plain_line(message, fields)));
  }
  if (json) json->log(spdlog_level, spdlog::string_view_t(json_line(level, message, fields)));
}

}  // namespace

void to_stderr(Level level) {
  auto logger = std::make_shared<spdlog::logger>("stderr", std::make_shared<TerminalSink>());
  logger->set_pattern("%H:%M:%S %l  %v");
  logger->set_level(to_spdlog(level));
  const std::lock_guard<std::mutex> lock(outputs().mutex);
  outputs().lines = std::move(logger);
}

void to_json_lines(const std::filesystem::path& path) {
  std::shared_ptr<spdlog::logger> logger;
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string(), false);
    logger = std::make_shared<spdlog::logger>("json", std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw DataError(path.string() + ": cannot open the log: " + error.what());
  }
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  // A full disk must not stop the work that the log tells of; it is said once.
  auto told = std::make_shared<std::once_flag>();
  logger->set_error_handler([told, path](const std::string& reason) {
    std::call_once(*told, [&] {
      std::shared_ptr<spdlog::logger> lines;
      {
        const std::lock_guard<std::mutex> lock(outputs().mutex);
        lines = outputs().lines;
      }
      if (lines) lines->warn("{}: cannot write the log: {}", path.string(), reason);
    });
  });
  const std::lock_guard<std::mutex> lock(outputs().mutex);
  outputs().json = std::move(logger);
}

void debug(const std::string& message, const Fields& fields) {
  write(Level::Debug, message, fields);
}
void info(const std::string& message, const Fields& fields) { write(Level::Info, message, fields); }
void warning(const std::string& message, const Fields& fields) {
  write(Level::Warning, message, fields);
}
void error(const std::string& message, const Fields& fields) {
  write(Level::Error, message, fields);
}

}  // namespace lathe::log
