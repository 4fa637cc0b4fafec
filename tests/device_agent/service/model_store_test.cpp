#include "device_agent/service/model_store.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "core/file.h"

using namespace lathe;
using namespace lathe::device;

namespace {

std::shared_ptr<const StoredModel> make(const std::string& bytes) {
  ModelUpload upload(1 << 20);
  REQUIRE(upload.append(bytes).ok());
  return upload.finish(sha256_hex(bytes)).value();
}

}  // namespace

TEST_CASE("an uploaded model cannot be changed any more") {
  const auto model = make("some bytes");
  CHECK(model->size_bytes() == 10);
  CHECK(::pwrite(model->descriptor(), "X", 1, 0) == -1);
  CHECK(::ftruncate(model->descriptor(), 0) == -1);
  char text[10];
  REQUIRE(::pread(model->descriptor(), text, 10, 0) == 10);
  CHECK(std::string(text, 10) == "some bytes");
}

TEST_CASE("the least recently used models are dropped beyond the capacity") {
  ModelStore store(100, 30);
  store.add("a", make(std::string(10, 'a')));
  store.add("b", make(std::string(10, 'b')));
  store.add("c", make(std::string(10, 'c')));
  CHECK(store.size_bytes() == 30);
  const auto held = store.find("c");
  CHECK(store.find("a") != nullptr);  // b is the oldest now, then c
  store.add("d", make(std::string(15, 'd')));
  CHECK(store.find("b") == nullptr);
  CHECK(store.find("a") != nullptr);
  CHECK(store.find("c") == nullptr);
  CHECK(held->size_bytes() == 10);  // lives on for the job that uses it
  CHECK(store.size_bytes() == 25);
  store.add("d", make("other"));  // known already
  CHECK(store.size_bytes() == 25);
  store.add("big", make(std::string(60, 'x')));
  CHECK(store.find("big") != nullptr);
  CHECK(store.size_bytes() == 60);
}

TEST_CASE("the least recently used models are dropped beyond their number") {
  ModelStore store(100, 1 << 20);
  for (size_t i = 0; i <= ModelStore::kMostModels; ++i) store.add(std::to_string(i), make("x"));
  CHECK(store.find("0") == nullptr);
  CHECK(store.find("1") != nullptr);
  CHECK(store.size_bytes() == static_cast<int64_t>(ModelStore::kMostModels));
}

TEST_CASE("hashes are 64 lower-case digits and nothing else") {
  CHECK(is_sha256(std::string(64, '0')));
  CHECK_FALSE(is_sha256(std::string(63, '0')));
  CHECK_FALSE(is_sha256(std::string(64, 'A')));
  CHECK_FALSE(is_sha256("../" + std::string(61, '0')));
}
