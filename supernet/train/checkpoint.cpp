#include "supernet/train/checkpoint.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "network/digest.h"

namespace lathe::supernet {
namespace {

constexpr int64_t kFormatVersion = 4;
constexpr int64_t kRecordFields = 7;

using Dictionary = c10::impl::GenericDict;

at::Tensor pack_records(const std::vector<EpochRecord>& records) {
  at::Tensor table = at::empty({static_cast<int64_t>(records.size()), kRecordFields}, at::kDouble);
  double* row = table.data_ptr<double>();
  for (const EpochRecord& record : records) {
    for (const double value : {record.epoch, record.learning_rate, record.loss, record.top1_largest,
                               record.top1_smallest, record.seconds, record.images_per_s}) {
      *row++ = value;
    }
  }
  return table;
}

std::vector<EpochRecord> unpack_records(const at::Tensor& table) {
  const double* row = table.data_ptr<double>();
  std::vector<EpochRecord> records(static_cast<size_t>(table.size(0)));
  for (EpochRecord& record : records) {
    record = {row[0], row[1], row[2], row[3], row[4], row[5], row[6]};
    row += kRecordFields;
  }
  return records;
}

at::Tensor pack_norms(const std::array<NormMean, 3>& norms) {
  at::Tensor table = at::empty({3, 2}, at::kDouble);
  double* row = table.data_ptr<double>();
  for (const NormMean& norm : norms) {
    *row++ = norm.sum;
    *row++ = static_cast<double>(norm.count);
  }
  return table;
}

std::array<NormMean, 3> unpack_norms(const at::Tensor& table) {
  const double* row = table.data_ptr<double>();
  std::array<NormMean, 3> norms;
  for (NormMean& norm : norms) {
    norm = {row[0], static_cast<int64_t>(row[1])};
    row += 2;
  }
  return norms;
}

at::IValue string_list(const std::vector<std::string>& texts) {
  return at::IValue(c10::List<std::string>(texts));
}

std::vector<std::string> read_strings(const at::IValue& value) {
  std::vector<std::string> texts;
  for (const at::IValue& text : value.toListRef()) texts.push_back(text.toStringRef());
  return texts;
}

Dictionary pack_state(const TrainState& state) {
  Dictionary fields(c10::StringType::get(), c10::AnyType::get());
  const auto put = [&fields](const char* name, at::IValue value) {
    fields.insert(std::string(name), std::move(value));
  };
  put("step", state.step);
  put("attempt", state.attempt);
  put("values", state.values.to(at::kCPU));
  put("momentum", state.momentum.to(at::kCPU));
  put("averaged", state.averaged.to(at::kCPU));
  put("teacher", state.teacher.to(at::kCPU));
  put("gradient_norms", pack_norms(state.gradient_norms));
  put("loss_sum", state.loss_sum);
  put("loss_count", state.loss_count);
  put("smoothed_loss", state.smoothed_loss);
  put("best_loss", state.best_loss);
  put("seconds", state.seconds);
  put("records", pack_records(state.records));
  put("metrics", string_list(state.metrics));
  return fields;
}

TrainState unpack_state(const Dictionary& fields) {
  const auto get = [&fields](const char* name) { return fields.at(std::string(name)); };
  TrainState state;
  state.step = get("step").toInt();
  state.attempt = get("attempt").toInt();
  state.values = get("values").toTensor();
  state.momentum = get("momentum").toTensor();
  state.averaged = get("averaged").toTensor();
  state.teacher = get("teacher").toTensor();
  state.gradient_norms = unpack_norms(get("gradient_norms").toTensor());
  state.loss_sum = get("loss_sum").toDouble();
  state.loss_count = get("loss_count").toInt();
  state.smoothed_loss = get("smoothed_loss").toDouble();
  state.best_loss = get("best_loss").toDouble();
  state.seconds = get("seconds").toDouble();
  state.records = unpack_records(get("records").toTensor());
  state.metrics = read_strings(get("metrics"));
  return state;
}

/// The file ends in the hash of everything before it: LibTorch's reader looks at no checksum and
/// reads beyond the end of a file that was cut.
constexpr size_t kHashLength = 64;

std::vector<char> intact_archive(const std::string& file) {
  if (file.size() < kHashLength) throw std::runtime_error("length");
  const size_t length = file.size() - kHashLength;
  if (sha256_hex({file.data(), length}) != file.substr(length)) throw std::runtime_error("hash");
  return {file.begin(), file.begin() + static_cast<ptrdiff_t>(length)};
}

void check_identity(const std::filesystem::path& path, const std::vector<std::string>& found,
                    const Identity& identity) {
  const std::vector<std::string> expected = flatten(identity);
  for (size_t i = 0; i < std::max(expected.size(), found.size()); ++i) {
    const std::string is = i < found.size() ? found[i] : "nothing";
    const std::string wanted = i < expected.size() ? expected[i] : "nothing";
    if (is == wanted) continue;
    throw DataError(path.string() + ": belongs to another configuration: " + is + ", expected " +
                    wanted + "; use another run folder or remove this file");
  }
}

/// The file's bytes, which rank 0 reads for all; nothing if it finds none.
std::optional<std::string> read_for_all(const std::filesystem::path& path, Communicator* group) {
  const bool reads = group == nullptr || group->is_first();
  std::string found = reads && std::filesystem::exists(path) ? "+" + read_file(path) : "";
  if (group != nullptr) found = group->broadcast_bytes(found, "the checkpoint");
  if (found.empty()) return std::nullopt;
  return found.substr(1);
}

}  // namespace

std::vector<std::string> flatten(const Identity& identity) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : identity) lines.push_back(name + " = " + value);
  return lines;
}

void add_optimizer(const TrainOptions& train, Identity& identity) {
  identity.emplace_back("momentum", exact_text(train.momentum));
  identity.emplace_back("weight_decay", exact_text(train.weight_decay));
  identity.emplace_back("label_smoothing", exact_text(train.label_smoothing));
  identity.emplace_back("gradient_clip", exact_text(train.gradient_clip));
  identity.emplace_back("batch", std::to_string(train.batch));
}

std::string hash_of(const network::Model& model) {
  std::string text = network::digest(model.network, network::DigestKind::Computation).hex();
  for (const auto& [name, tensor] : model.weights) {
    const std::string_view bytes(reinterpret_cast<const char*>(tensor.values.data()),
                                 tensor.values.size() * sizeof(float));
    text += "\n" + name + " " + sha256_hex(bytes);
  }
  return sha256_hex(text);
}

void save_checkpoint(const std::filesystem::path& path, const TrainState& state,
                     const Identity& identity) {
  Dictionary fields(c10::StringType::get(), c10::AnyType::get());
  const auto put = [&fields](const char* name, at::IValue value) {
    fields.insert(std::string(name), std::move(value));
  };
  put("format", kFormatVersion);
  put("identity", string_list(flatten(identity)));
  put("state", pack_state(state));
  if (state.good) put("good", pack_state(*state.good));
  const std::vector<char> archive = torch::jit::pickle_save(fields);
  std::string file(archive.begin(), archive.end());
  file += sha256_hex(file);
  try {
    write_file_atomically(path, file);
  } catch (const DataError& error) {
    throw DataError(
        std::string(error.what()) + "; training stopped at step " + std::to_string(state.step) +
        ", the checkpoint before it is intact: free some space and run the same command again");
  }
}

std::optional<TrainState> load_checkpoint(const std::filesystem::path& path,
                                          const Identity& identity, Communicator* group) {
  const std::optional<std::string> file = read_for_all(path, group);
  if (!file) return std::nullopt;
  TrainState state;
  std::vector<std::string> found;
  try {
    const auto fields = torch::jit::pickle_load(intact_archive(*file)).toGenericDict();
    const auto get = [&fields](const char* name) { return fields.at(std::string(name)); };
    if (get("format").toInt() != kFormatVersion) {
      throw DataError(path.string() + ": format = " + std::to_string(get("format").toInt()) +
                      ", expected " + std::to_string(kFormatVersion));
    }
    found = read_strings(get("identity"));
    state = unpack_state(get("state").toGenericDict());
    if (fields.contains(std::string("good"))) {
      state.good = std::make_shared<TrainState>(unpack_state(get("good").toGenericDict()));
    }
  } catch (const DataError&) {
    throw;
  } catch (const std::exception&) {  // of LibTorch's reader, its checks of types, ours
    throw DataError(path.string() +
                    ": damaged, expected a checkpoint of lathe; remove it to train from the start");
  }
  check_identity(path, found, identity);
  return state;
}

}  // namespace lathe::supernet
