#include "device_agent/service/model_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace lathe::device {

ModelUpload::ModelUpload(int64_t max_bytes)
    : file_(::memfd_create("lathe-model", MFD_CLOEXEC | MFD_ALLOW_SEALING)), max_bytes_(max_bytes) {
  if (!file_.valid())
    throw DeviceError(std::string("ModelUpload: no memory file: ") + std::strerror(errno));
}

Result<int64_t> ModelUpload::append(std::string_view chunk) {
  if (size_bytes_ + static_cast<int64_t>(chunk.size()) > max_bytes_) {
    return Failure{FailureKind::InvalidModel, "model: more than " + std::to_string(max_bytes_) +
                                                  " bytes, which is this agent's limit"};
  }
  while (!chunk.empty()) {
    const ssize_t count = ::write(file_.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      return Failure{FailureKind::OutOfMemory, std::string("model: ") + std::strerror(errno)};
    size_bytes_ += count;
    chunk.remove_prefix(static_cast<size_t>(count));
  }
  return size_bytes_;
}

Result<std::shared_ptr<const StoredModel>> ModelUpload::finish(const std::string& sha256) {
  if (size_bytes_ == 0) return Failure{FailureKind::InvalidModel, "model: no bytes were sent"};
  const auto size = static_cast<size_t>(size_bytes_);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_.get(), 0);
  if (mapped == MAP_FAILED)
    return Failure{FailureKind::OutOfMemory, std::string("model: ") + std::strerror(errno)};
  const std::string found = sha256_hex({static_cast<const char*>(mapped), size});
  ::munmap(mapped, size);
  if (found != sha256) {
    return Failure{FailureKind::InvalidModel, "model: SHA-256 = " + found + ", expected " + sha256};
  }
  if (::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
      0) {
    return Failure{FailureKind::Internal,
                   std::string("model: cannot be sealed: ") + std::strerror(errno)};
  }
  return std::shared_ptr<const StoredModel>(
      std::make_shared<StoredModel>(std::move(file_), size_bytes_));
}

std::shared_ptr<const StoredModel> ModelStore::find(const std::string& sha256) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = entries_.find(sha256);
  if (found == entries_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, found->second.use);
  return found->second.model;
}

void ModelStore::add(const std::string& sha256, std::shared_ptr<const StoredModel> model) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entries_.count(sha256) > 0) return;
  size_bytes_ += model->size_bytes();
  uses_.push_front(sha256);
  entries_[sha256] = {std::move(model), uses_.begin()};
  while ((size_bytes_ > capacity_bytes_ && entries_.size() > 1) || entries_.size() > kMostModels) {
    const auto oldest = entries_.find(uses_.back());
    size_bytes_ -= oldest->second.model->size_bytes();
    entries_.erase(oldest);
    uses_.pop_back();
  }
}

int64_t ModelStore::size_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return size_bytes_;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace lathe::device
