#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/file_descriptor.h"
#include "core/result.h"

namespace lathe::device {

/// The bytes of one model in an anonymous memory file that no longer changes. Immutable.
class StoredModel {
 public:
  StoredModel(FileDescriptor file, int64_t size_bytes)
      : file_(std::move(file)), size_bytes_(size_bytes) {}
  int descriptor() const { return file_.get(); }
  int64_t size_bytes() const { return size_bytes_; }

 private:
  FileDescriptor file_;
  int64_t size_bytes_;
};

/// A model on its way in. Not thread-safe.
class ModelUpload {
 public:
  /// \throws DeviceError if the system refuses a memory file.
  explicit ModelUpload(int64_t max_bytes);
  /// Fails (InvalidModel, OutOfMemory) if the model grows beyond the limit or memory is full.
  Result<int64_t> append(std::string_view chunk);
  /// Checks the content against `sha256` and seals it.
  Result<std::shared_ptr<const StoredModel>> finish(const std::string& sha256);

 private:
  FileDescriptor file_;
  int64_t max_bytes_;
  int64_t size_bytes_ = 0;
};

/// Models by the SHA-256 of their bytes, in memory; the least recently used are dropped beyond the
/// capacity or kMostModels, as each holds a file descriptor (those in use by a job live on until it
/// ends). Nothing of a request ever reaches the file system. Thread-safe.
class ModelStore {
 public:
  static constexpr size_t kMostModels = 64;

  /// `max_model_bytes` for one model, `capacity_bytes` for all.
  ModelStore(int64_t max_model_bytes, int64_t capacity_bytes)
      : max_model_bytes_(max_model_bytes), capacity_bytes_(capacity_bytes) {}

  int64_t max_model_bytes() const { return max_model_bytes_; }
  /// Returns the model and marks it as used, or null.
  std::shared_ptr<const StoredModel> find(const std::string& sha256);
  void add(const std::string& sha256, std::shared_ptr<const StoredModel> model);
  int64_t size_bytes() const;

 private:
  struct Entry {
    std::shared_ptr<const StoredModel> model;
    std::list<std::string>::iterator use;
  };
  int64_t max_model_bytes_;
  int64_t capacity_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::list<std::string> uses_;  ///< most recent first
  int64_t size_bytes_ = 0;
};

/// Returns true for 64 lower-case hexadecimal digits.
bool is_sha256(const std::string& text);

}  // namespace lathe::device
