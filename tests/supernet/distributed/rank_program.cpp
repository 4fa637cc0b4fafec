// One of the processes that group_test.cpp starts: supernet_rank ROLE OUTPUT. Its place comes from
// the environment, as torchrun would set it. SILENCE: seconds after which a silent process counts
// as dead.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>

#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "supernet/distributed/communicator.h"
#include "supernet/executor/batch_norm.h"
#include "supernet/executor/group_batch_norm.h"

using namespace lathe;
using namespace lathe::supernet;

namespace {

/// Every operation once; the output is what this process got.
std::string collectives(Communicator& group) {
  const auto rank = static_cast<double>(group.rank());
  at::Tensor numbers = at::full({3}, rank + 1.0, at::kFloat);
  group.all_reduce_sum(numbers, "numbers");
  at::Tensor first = at::full({2}, rank + 7.0, at::kDouble);
  group.broadcast(first, "numbers");
  group.barrier("a pause");
  std::string text = "sum " + std::to_string(numbers[2].item<double>()) + " first " +
                     std::to_string(first[1].item<double>()) + " bytes " +
                     group.broadcast_bytes(group.is_first() ? "from the first" : "", "bytes") +
                     " gathered";
  for (const std::string& part :
       group.gather(std::string(static_cast<size_t>(2 * group.rank()), 'x'), "bytes")) {
    text += " [" + part + "]";
  }
  return text + " total " + std::to_string(group.sum({0.5, rank}, "numbers")[1]);
}

/// A batch norm layer's output and gradients on this process's images of a batch of eight, the
/// first five for rank 0.
at::Tensor layer_values(Communicator& group, bool by_operators) {
  at::Generator generator = at::detail::createCPUGenerator(3);
  const auto random = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator, at::kDouble);
  };
  const at::Tensor images =
      (random({8, 6, 5, 5}) * 2.0 + 40.0).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weights = random({8, 6, 5, 5});  // of the loss
  const at::Tensor gamma = random({6}).requires_grad_(true);
  const at::Tensor beta = random({6}).requires_grad_(true);
  const int64_t begin = group.alone() || group.is_first() ? 0 : 5;
  const int64_t end = group.alone() || !group.is_first() ? 8 : 5;
  const at::Tensor x = images.narrow(0, begin, end - begin)
                           .clone()
                           .contiguous(at::MemoryFormat::ChannelsLast)
                           .requires_grad_(true);
  const at::Tensor y = by_operators ? activate(group_batch_norm(x, gamma, beta, 1e-5, group),
                                               network::ActivationKind::HardSwish)
                                    : batch_norm_train(x, gamma, beta, 1e-5,
                                                       network::ActivationKind::HardSwish, &group);
  (y * weights.narrow(0, begin, end - begin)).sum().backward();
  at::Tensor learned = at::cat({gamma.grad(), beta.grad()});
  group.all_reduce_sum(learned, "the gradients");
  std::vector<at::Tensor> values = {learned};
  for (const at::Tensor& part : {y.detach(), x.grad()}) {
    at::Tensor whole = at::zeros({8, 6, 5, 5}, at::kDouble);
    whole.narrow(0, begin, end - begin).copy_(part);
    group.all_reduce_sum(whole, "the parts");
    values.push_back(whole.flatten());
  }
  return at::cat(values);
}

std::string as_text(const at::Tensor& values) {
  std::string text;
  char number[32];
  for (int64_t i = 0; i < values.numel(); ++i) {
    std::snprintf(number, sizeof number, "%.17g\n", values[i].item<double>());
    text += number;
  }
  return text;
}

/// Sums without end; the first sum is announced in the output file.
std::string endless(Communicator& group, const std::string& output) {
  for (int64_t step = 0;; ++step) {
    group.set_step(step);
    group.sum({1.0}, "the gradients");
    if (step == 0) write_file_atomically(output, "going");
    steady_clock().sleep_s(0.01);
  }
}

/// Rank 1 fails while the others are about to sum.
std::string failing(Communicator& group) {
  if (group.rank() == 1) throw DataError("data: file b.png is not there");
  group.sum({1.0}, "the gradients");
  return "";
}

int run(const std::string& role, const std::string& output) {
  CommunicatorOptions options;
  if (const char* silence = std::getenv("SILENCE")) options.silence_s = std::atof(silence);
  if (const char* join = std::getenv("JOIN")) options.join_s = std::atof(join);
  const std::unique_ptr<Communicator> group = connect(read_launch(std::getenv), at::kCPU, options);
  const std::map<std::string, std::function<std::string()>> roles = {
      {"collectives", [&] { return collectives(*group); }},
      {"layer", [&] { return as_text(layer_values(*group, false)); }},
      {"operators", [&] { return as_text(layer_values(*group, true)); }},
      {"endless", [&] { return endless(*group, output); }},
      {"failing", [&] { return failing(*group); }}};
  std::string text;
  try {
    text = roles.at(role)();
  } catch (const std::exception& error) {
    group->give_up(error.what());
    throw;
  }
  group->leave();
  write_file_atomically(output, text);
  return 0;
}

}  // namespace

int main(int, char** argv) {
  try {
    return run(argv[1], argv[2]);
  } catch (const PeerError& error) {
    std::printf("peer: %s\n", error.what());
    std::fflush(stdout);
    _Exit(7);
  } catch (const std::exception& error) {
    std::printf("error: %s\n", error.what());
    return 1;
  }
}
