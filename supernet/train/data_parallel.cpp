#include "supernet/train/data_parallel.h"

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace lathe::supernet {
namespace {

/// Returns the first line in which `text` differs from `first`, as "its line" and "the other".
std::string difference(const std::vector<std::string>& own, const std::vector<std::string>& first) {
  size_t i = 0;
  while (i < own.size() && i < first.size() && own[i] == first[i]) ++i;
  return (i < own.size() ? own[i] : "nothing") + ", expected rank 0's " +
         (i < first.size() ? first[i] : "nothing");
}

}  // namespace

void DataParallel::check_same(const Identity& identity, int64_t batch) const {
  if (!together()) return;
  const std::vector<std::string> own = flatten(identity);
  const std::string text = join(own, "\n");
  const std::string first = group_->broadcast_bytes(text, "the configuration");
  if (text != first) {
    std::vector<std::string> lines;
    for (size_t begin = 0; begin <= first.size();) {
      const size_t end = std::min(first.find('\n', begin), first.size());
      lines.push_back(first.substr(begin, end - begin));
      begin = end + 1;
    }
    throw ConfigError("configuration: " + difference(own, lines) +
                      "; every process needs the same configuration and data");
  }
  if (batch < 2 * group_->size()) {
    throw ConfigError("/supernet/batch = " + std::to_string(batch) + ", expected at least " +
                      std::to_string(2 * group_->size()) + ": two images for each of the " +
                      std::to_string(group_->size()) + " processes");
  }
}

void DataParallel::check_same(const at::Tensor& values, int64_t step) const {
  if (!together()) return;
  const at::Tensor host = values.to(at::kCPU).contiguous();
  const std::string own = sha256_hex({static_cast<const char*>(host.data_ptr()), host.nbytes()});
  const std::vector<std::string> all = group_->gather(own, "the weights' hashes");
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw InvariantError("supernet training: weights of rank " + std::to_string(rank) +
                         " at step " + std::to_string(step) + " hash to " + all[rank] +
                         ", expected rank 0's " + all[0]);
  }
}

void DataParallel::begin_step(int64_t step) {
  if (together()) group_->set_step(step);
}

Batch DataParallel::part_of(const Batch& batch) {
  if (!together()) return batch;
  batch_ = batch.images.size(0);
  first_ = batch_ * group_->rank() / group_->size();
  const int64_t count = batch_ * (group_->rank() + 1) / group_->size() - first_;
  share_ = static_cast<double>(count) / static_cast<double>(batch_);
  return {batch.images.narrow(0, first_, count), batch.labels.narrow(0, first_, count),
          batch.mixed_labels.narrow(0, first_, count), batch.mix};
}

double DataParallel::sum(double share, const char* what) const {
  return together() ? group_->sum({share}, what)[0] : share;
}

void DataParallel::sum_gradients(at::Tensor& gradients) const {
  if (together()) group_->all_reduce_sum(gradients, "the gradients");
}

bool DataParallel::any(bool own) const {
  if (!together()) return own;
  return group_->sum({own ? 1.0 : 0.0}, "what to do next").at(0) > 0.0;
}

}  // namespace lathe::supernet
