#include <doctest/doctest.h>

#include "supernet/executor/memory_pool.h"
#include "supernet/torch_headers.h"

using namespace lathe::supernet;

TEST_CASE("The memory pool gives a freed block to the next tensor of nearly its size") {
  install_memory_pool();
  const int64_t before = memory_pool_use().used;
  // Larger than what other cases leave in the pool.
  at::Tensor first = at::empty({10000000});
  CHECK(memory_pool_use().used - before >= 40000000);
  CHECK(memory_pool_use().used - before <= 45000000);
  CHECK(reinterpret_cast<uintptr_t>(first.data_ptr()) % 64 == 0);
  void* place = first.data_ptr();
  first.reset();
  CHECK(memory_pool_use().used == before);
  CHECK(memory_pool_use().cached >= 40000000);
  const at::Tensor second = at::empty({9000000});
  CHECK(second.data_ptr() == place);
  CHECK(memory_pool_use().used - before >= 40000000);
}

TEST_CASE("The memory pool leaves small and empty tensors alone") {
  install_memory_pool();
  const int64_t before = memory_pool_use().used;
  const at::Tensor small = at::ones({100});
  const at::Tensor empty = at::empty({0});
  CHECK(memory_pool_use().used == before);
  CHECK(small.sum().item<float>() == 100.0F);
  CHECK(reinterpret_cast<uintptr_t>(small.data_ptr()) % 64 == 0);
}

TEST_CASE("A tensor that no memory can hold is an error that names the bytes") {
  install_memory_pool();
  std::string message;
  try {
    at::empty({int64_t{1} << 50});
  } catch (const std::exception& error) {
    message = error.what();
  }
  CHECK(message ==
        "memory of a tensor: bytes = 4503599627370496, expected that many to be free; lower "
        "supernet.batch or supernet.evaluation.memory");
}
