#include "core/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/terminal.h"

namespace lathe {
namespace {

/// Redrawing more often than this only costs time.
constexpr double kRedrawInterval_s = 0.1;
constexpr int kBarWidth = 20;

template <typename... Args>
std::string print(const char* format, Args... args) {
  std::array<char, 96> buffer;
  const int size = std::snprintf(buffer.data(), buffer.size(), format, args...);
  return std::string(buffer.data(), std::min(static_cast<size_t>(size), buffer.size() - 1));
}

class NoProgress final : public Progress {
 public:
  void begin(const std::string&, int64_t, const std::string&) override {}
  void update(int64_t, const std::string&) override {}
  void end() override {}
};

/// Cuts `text` to `columns` characters, counting UTF-8 sequences as one.
std::string cut_to_columns(const std::string& text, int columns) {
  int characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (starts && characters++ == columns) return text.substr(0, i);
  }
  return text;
}

class Display final : public Progress {
 public:
  explicit Display(ProgressOptions options) : options_(std::move(options)) {}
  ~Display() override {
    if (options_.terminal && shown_) options_.write_status("");
  }

  void begin(const std::string& stage, int64_t total, const std::string& unit) override {
    if (running_) end();
    stage_ = stage;
    unit_ = unit;
    total_ = total;
    done_ = 0;
    note_.clear();
    begin_s_ = now_s();
    first_done_ = -1;
    shown_ = false;
    running_ = true;
  }

  void update(int64_t done, const std::string& note) override {
    if (!running_) return;
    const double now = now_s();
    if (first_done_ < 0) {
      // A stage that begins beyond its first unit was resumed: what was done before has no rate.
      first_done_ = done > 1 ? done : 0;
      first_s_ = done > 1 ? now : begin_s_;
    }
    done_ = done;
    note_ = note;
    const double interval = options_.terminal ? kRedrawInterval_s : options_.line_interval_s;
    if (now - begin_s_ < options_.quiet_s || (shown_ && now - shown_s_ < interval)) return;
    if (options_.terminal) {
      options_.write_status(cut_to_columns(bar() + state(now), options_.columns - 1));
    } else {
      options_.write_line(stage_ + "  " + state(now));
    }
    shown_ = true;
    shown_s_ = now;
  }

  void end() override {
    if (!running_) return;
    running_ = false;
    const double elapsed = now_s() - begin_s_;
    if (options_.terminal && shown_) options_.write_status("");
    if (elapsed < options_.quiet_s) return;
    std::string line = stage_ + "  ";
    line += done_ < total_ ? "stopped at " + amount() : format_count(static_cast<double>(done_));
    line += " " + units(done_ < total_ ? total_ : done_) + " in " + format_duration(elapsed);
    if (!note_.empty()) line += "  " + note_;
    options_.write_line(line);
    shown_ = false;
  }

 private:
  double now_s() const { return options_.clock->now_s(); }

  std::string units(int64_t count) const {
    if (count == 1) return unit_;
    const bool hisses = unit_.size() > 2 && unit_.compare(unit_.size() - 2, 2, "ch") == 0;
    return unit_ + (hisses ? "es" : "s");  // batches, steps
  }

  std::string amount() const { return std::to_string(done_) + "/" + std::to_string(total_); }

  double fraction() const {
    if (total_ <= 0) return 0.0;
    return std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
  }

  std::string bar() const {
    const auto filled = static_cast<size_t>(fraction() * kBarWidth);
    return stage_ + "  [" + std::string(filled, '#') +
           std::string(static_cast<size_t>(kBarWidth) - filled, '.') + "] ";
  }

  std::string state(double now) const {
    std::string text;
    if (total_ > 0) {
      text = print("%.0f %%  ", std::floor(100.0 * fraction())) + amount() + " " + units(total_);
    } else {
      text = std::to_string(done_) + " " + units(done_);
    }
    const double units = static_cast<double>(done_ - first_done_);
    const double elapsed = now - first_s_;
    if (units > 0.0 && elapsed > 0.0) {
      const double rate = units / elapsed;
      text += rate >= 1.0 ? "  " + print("%.3g ", rate) + unit_ + "/s"
                          : "  " + format_duration(1.0 / rate) + "/" + unit_;
      if (total_ > done_) {
        text += "  ETA " + format_duration(std::ceil(static_cast<double>(total_ - done_) / rate));
      }
    }
    if (!note_.empty()) text += "  " + note_;
    return text;
  }

  ProgressOptions options_;
  std::string stage_;
  std::string unit_;
  std::string note_;
  int64_t total_ = 0;
  int64_t done_ = 0;
  int64_t first_done_ =
      -1;  ///< units that were done before the rate is counted, -1 before the first
  double first_s_ = 0.0;
  double begin_s_ = 0.0;
  double shown_s_ = 0.0;
  bool shown_ = false;
  bool running_ = false;
};

/// Three to four significant digits: 3.50, 14.0, 300.8.
std::string significant(double value) {
  return value < 9.995 ? print("%.2f", value) : print("%.1f", value);
}

std::string with_prefix(double value, const std::string& unit) {
  static constexpr std::array<const char*, 5> kPrefixes = {"", "k", "M", "G", "T"};
  if (!std::isfinite(value)) return "unknown";
  if (value < 0.0) return "-" + with_prefix(-value, unit);
  size_t prefix = 0;
  // Beyond the last digit that is shown: 999950 is 1.00 M, not 1000.0 k.
  while (prefix + 1 < kPrefixes.size() && value >= (prefix == 0 ? 999.5 : 999.95)) {
    value /= 1000.0;
    ++prefix;
  }
  std::string number;
  if (prefix > 0) {
    number = significant(value);
  } else {
    number = value == std::floor(value) ? print("%.0f", value) : print("%.3g", value);
  }
  const std::string suffix = kPrefixes[prefix] + unit;
  return suffix.empty() ? number : number + " " + suffix;
}

}  // namespace

Progress& no_progress() {
  static NoProgress progress;
  return progress;
}

std::unique_ptr<Progress> make_progress(ProgressOptions options) {
  if (!options.write_line || options.clock == nullptr ||
      (options.terminal && !options.write_status)) {
    throw InvariantError("make_progress: write_line, clock or write_status is missing");
  }
  return std::make_unique<Display>(std::move(options));
}

std::unique_ptr<Progress> terminal_progress(double line_interval_s) {
  ProgressOptions options;
  options.terminal = terminal::is_terminal();
  options.columns = terminal::columns();
  options.line_interval_s = line_interval_s;
  options.write_line = terminal::write_line;
  options.write_status = terminal::set_status;
  return make_progress(std::move(options));
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "unknown";
  if (seconds < 0.0) return "-" + format_duration(-seconds);
  if (seconds == 0.0) return "0 s";
  if (seconds < 0.9995e-3) return print("%.3g us", seconds * 1e6);
  if (seconds < 0.9995) return print("%.3g ms", seconds * 1e3);
  if (seconds < 59.95) return print("%.3g s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(std::min(seconds, 1e15)));
  const auto part = [](int64_t value) { return static_cast<long long>(value); };
  if (whole < 3600) return print("%lld min %02lld s", part(whole / 60), part(whole % 60));
  const int64_t minutes = whole / 60;
  if (minutes < 1440) return print("%lld h %02lld min", part(minutes / 60), part(minutes % 60));
  return print("%lld d %02lld h", part(minutes / 1440), part(minutes % 1440 / 60));
}

std::string format_count(double count) { return with_prefix(count, ""); }

std::string format_bytes(double bytes) { return with_prefix(bytes, "B"); }

}  // namespace lathe
