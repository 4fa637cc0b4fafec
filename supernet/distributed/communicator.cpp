#include "supernet/distributed/communicator.h"

#include <algorithm>
#include <numeric>

namespace lathe::supernet {
namespace {

class LocalCommunicator : public Communicator {
 public:
  LocalCommunicator() : Communicator(0, 1) {}
  void all_reduce_sum(at::Tensor, const char*) override {}
  void broadcast(at::Tensor, const char*) override {}
  void give_up(const std::string&) noexcept override {}
  void leave() override {}
};

/// Copies, since a tensor over a string's memory would need it to be mutable and to outlive it.
at::Tensor to_bytes(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  return bytes;
}

std::string to_text(const at::Tensor& bytes) {
  const uint8_t* data = bytes.data_ptr<uint8_t>();
  return {data, data + bytes.numel()};
}

}  // namespace

void Communicator::barrier(const char* what) {
  if (!alone()) all_reduce_sum(at::zeros({1}, at::kFloat), what);
}

std::string Communicator::broadcast_bytes(const std::string& bytes, const char* what) {
  if (alone()) return bytes;
  at::Tensor size = at::full({1}, static_cast<int64_t>(bytes.size()), at::kLong);
  broadcast(size, what);
  at::Tensor data = is_first() ? to_bytes(bytes) : at::empty({size.item<int64_t>()}, at::kByte);
  if (data.numel() > 0) broadcast(data, what);
  return to_text(data);
}

std::vector<std::string> Communicator::gather(const std::string& bytes, const char* what) {
  if (alone()) return {bytes};
  at::Tensor sizes = at::zeros({size()}, at::kLong);
  sizes[rank()] = static_cast<int64_t>(bytes.size());
  all_reduce_sum(sizes, what);
  const std::vector<int64_t> counts(sizes.data_ptr<int64_t>(), sizes.data_ptr<int64_t>() + size());
  at::Tensor all =
      at::zeros({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, at::kByte);
  // Everybody fills the own part of zeros, so the sum is the concatenation.
  const int64_t begin = std::accumulate(counts.begin(), counts.begin() + rank(), int64_t{0});
  all.narrow(0, begin, counts[static_cast<size_t>(rank())]).copy_(to_bytes(bytes));
  if (all.numel() > 0) all_reduce_sum(all, what);
  std::vector<std::string> parts;
  int64_t offset = 0;
  for (const int64_t count : counts) {
    parts.push_back(to_text(all.narrow(0, offset, count)));
    offset += count;
  }
  return parts;
}

std::vector<double> Communicator::sum(const std::vector<double>& values, const char* what) {
  if (alone()) return values;
  at::Tensor numbers = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), numbers.data_ptr<double>());
  all_reduce_sum(numbers, what);
  return {numbers.data_ptr<double>(), numbers.data_ptr<double>() + numbers.numel()};
}

std::unique_ptr<Communicator> make_local_communicator() {
  return std::make_unique<LocalCommunicator>();
}

}  // namespace lathe::supernet
