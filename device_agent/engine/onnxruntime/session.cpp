#include "device_agent/engine/onnxruntime/session.h"

#include <onnxruntime_c_api.h>

#include "device_agent/engine/engine.h"
#include "network/network.h"

namespace lathe::device::ort {

namespace {

// Functions are only ever added to the interface: this much of it is in every release since 1.17.
constexpr uint32_t kApiVersion = 17;

bool is_out_of_memory(const std::string& message) {
  for (const char* part : {"bad_alloc", "bad allocation", "Failed to allocate memory"}) {
    if (message.find(part) != std::string::npos) return true;
  }
  return false;
}

/// Throws what `status` tells, as `kind` unless memory ran out.
void check(OrtStatus* status, FailureKind kind, const char* what) {
  if (status == nullptr) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  if (is_out_of_memory(message)) {
    throw EngineError(FailureKind::OutOfMemory,
                      "onnxruntime: the network does not fit into the memory limit");
  }
  throw EngineError(kind, std::string("onnxruntime: ") + what + ": " + message);
}

void check(OrtStatus* status, const char* what) { check(status, FailureKind::Internal, what); }

template <typename T, typename Make>
Handle<T> make(const char* what, const Make& create) {
  T* made = nullptr;
  check(create(&made), what);
  return Handle<T>(made);
}

Handle<OrtSessionOptions> session_options(int threads) {
  auto options = make<OrtSessionOptions>(
      "session options", [](OrtSessionOptions** made) { return api().CreateSessionOptions(made); });
  const char* what = "session options";
  check(api().SetIntraOpNumThreads(options.get(), threads), what);
  check(api().SetInterOpNumThreads(options.get(), 1), what);
  check(api().SetSessionExecutionMode(options.get(), ORT_SEQUENTIAL), what);
  check(api().SetSessionGraphOptimizationLevel(options.get(), ORT_ENABLE_ALL), what);
  // Failures are returned; what is logged besides would be the agent's own output.
  check(api().SetSessionLogSeverityLevel(options.get(), ORT_LOGGING_LEVEL_FATAL), what);
  // The waiting threads of the candidate would spin while the reference network runs.
  check(api().AddSessionConfigEntry(options.get(), "session.force_spinning_stop", "1"), what);
  return options;
}

}  // namespace

const OrtApi& api() {
  static const OrtApi* const functions = OrtGetApiBase()->GetApi(kApiVersion);
  if (functions != nullptr) return *functions;
  throw EngineError(FailureKind::Unsupported,
                    "onnxruntime: version = " + version() + ", expected 1.17 or newer");
}

std::string version() { return OrtGetApiBase()->GetVersionString(); }

void Release::operator()(OrtEnv* env) const { api().ReleaseEnv(env); }
void Release::operator()(OrtMemoryInfo* info) const { api().ReleaseMemoryInfo(info); }
void Release::operator()(OrtSession* session) const { api().ReleaseSession(session); }
void Release::operator()(OrtSessionOptions* options) const { api().ReleaseSessionOptions(options); }
void Release::operator()(OrtValue* value) const { api().ReleaseValue(value); }

Session::Session(const std::string& onnx, int threads, const std::vector<int64_t>& input_shape,
                 const std::vector<int64_t>& output_shape)
    : input_(static_cast<size_t>(network::element_count(input_shape))),
      output_(static_cast<size_t>(network::element_count(output_shape))) {
  env_ = make<OrtEnv>("environment", [](OrtEnv** made) {
    return api().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "lathe", made);
  });
  const Handle<OrtSessionOptions> options = session_options(threads);
  OrtSession* session = nullptr;
  check(api().CreateSessionFromArray(env_.get(), onnx.data(), onnx.size(), options.get(), &session),
        FailureKind::Unsupported, "the model cannot be prepared");
  session_.reset(session);
  input_name_ = name_of(true);
  output_name_ = name_of(false);
  input_value_ = tensor(input_, input_shape);
  output_value_ = tensor(output_, output_shape);
}

std::string Session::name_of(bool input) const {
  OrtAllocator* allocator = nullptr;
  check(api().GetAllocatorWithDefaultOptions(&allocator), "allocator");
  char* name = nullptr;
  check(input ? api().SessionGetInputName(session_.get(), 0, allocator, &name)
              : api().SessionGetOutputName(session_.get(), 0, allocator, &name),
        "names");
  const std::string result = name;
  check(api().AllocatorFree(allocator, name), "names");
  return result;
}

Handle<OrtValue> Session::tensor(std::vector<float>& values,
                                 const std::vector<int64_t>& shape) const {
  const auto memory = make<OrtMemoryInfo>("memory", [](OrtMemoryInfo** made) {
    return api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, made);
  });
  return make<OrtValue>("tensor", [&](OrtValue** made) {
    return api().CreateTensorWithDataAsOrtValue(
        memory.get(), values.data(), values.size() * sizeof(float), shape.data(), shape.size(),
        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, made);
  });
}

void Session::run() {
  const char* const input_name = input_name_.c_str();
  const char* const output_name = output_name_.c_str();
  const OrtValue* const input = input_value_.get();
  OrtValue* output = output_value_.get();
  check(api().Run(session_.get(), nullptr, &input_name, &input, 1, &output_name, 1, &output),
        "run");
}

}  // namespace lathe::device::ort
