#include "supernet/executor/memory_pool.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "core/error.h"
#include "supernet/torch_headers.h"

namespace lathe::supernet {
namespace {

constexpr size_t kAlignment = 64;               // of data: a cache line, a vector register
constexpr size_t kSmallest = size_t{32} << 10;  // smaller blocks come from malloc
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMaximumCached = size_t{1} << 30;
constexpr uint8_t kPriority = 100;  // of ours among LibTorch's allocators

/// Stands in front of every block's data.
struct alignas(kAlignment) Header {
  size_t size = 0;  ///< of the mapping, header included; 0: from malloc
};
static_assert(sizeof(Header) == kAlignment);

/// Rounds up so that blocks of nearly equal tensors can replace each other: eight sizes an octave.
size_t rounded(size_t size) {
  size_t unit = kSmallest / 8;
  while (unit * 16 < size) unit *= 2;
  return (size + unit - 1) / unit * unit;
}

class Pool {
 public:
  void* allocate(size_t bytes) {
    const size_t wanted = bytes + sizeof(Header);
    if (wanted < kSmallest) return small(wanted);
    const size_t size = rounded(wanted);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = free_.lower_bound(size);
      if (found != free_.end() && found->first <= size + size / 2) {
        Header* header = found->second;
        use_.cached -= static_cast<int64_t>(found->first);
        use_.used += static_cast<int64_t>(found->first);
        free_.erase(found);
        return header + 1;
      }
    }
    void* mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
      throw Error(
          "memory of a tensor: bytes = " + std::to_string(bytes) +
          ", expected that many to be free; lower supernet.batch or supernet.evaluation.memory");
    }
    if (size >= kHugePage) madvise(mapping, size, MADV_HUGEPAGE);
    auto* header = new (mapping) Header{size};
    const std::lock_guard<std::mutex> lock(mutex_);
    use_.used += static_cast<int64_t>(size);
    return header + 1;
  }

  void release(void* data) {
    if (data == nullptr) return;
    Header* header = static_cast<Header*>(data) - 1;
    if (header->size == 0) {
      std::free(header);
      return;
    }
    const size_t size = header->size;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      use_.used -= static_cast<int64_t>(size);
      if (static_cast<size_t>(use_.cached) + size <= kMaximumCached) {
        use_.cached += static_cast<int64_t>(size);
        free_.emplace(size, header);
        return;
      }
    }
    munmap(header, size);
  }

  MemoryPoolUse use() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return use_;
  }

 private:
  static void* small(size_t size) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, size) != 0) throw std::bad_alloc();
    return new (memory) Header{} + 1;
  }

  std::mutex mutex_;
  std::multimap<size_t, Header*> free_;
  MemoryPoolUse use_;
};

Pool& pool() {
  static Pool* instance = new Pool;  // tensors may outlive every static object
  return *instance;
}

void release_to_pool(void* data) { pool().release(data); }

class PoolAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) LATHE_ALLOCATE_CONST override {
    if (bytes == 0) return {nullptr, nullptr, &release_to_pool, c10::Device(c10::DeviceType::CPU)};
    void* data = pool().allocate(bytes);
    return {data, data, &release_to_pool, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release_to_pool; }
  void copy_data(void* target, const void* source,
                 std::size_t count) const LATHE_COPY_DATA_OVERRIDE {
    std::memcpy(target, source, count);
  }
};

}  // namespace

void install_memory_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    static PoolAllocator* allocator = new PoolAllocator;  // LibTorch keeps the pointer for ever
    c10::SetCPUAllocator(allocator, kPriority);
  });
}

MemoryPoolUse memory_pool_use() { return pool().use(); }

}  // namespace lathe::supernet
