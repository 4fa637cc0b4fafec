#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct OrtApi;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtValue;

namespace lathe::device::ort {

/// Returns the library's functions. \throws EngineError Unsupported if it is too old.
const OrtApi& api();
/// Returns the library's version, "1.21.0".
std::string version();

/// Frees what ONNX Runtime made.
struct Release {
  void operator()(OrtEnv* env) const;
  void operator()(OrtMemoryInfo* info) const;
  void operator()(OrtSession* session) const;
  void operator()(OrtSessionOptions* options) const;
  void operator()(OrtValue* value) const;
};
template <typename T>
using Handle = std::unique_ptr<T, Release>;

/// A model with one float input and one float output of fixed shapes, loaded by ONNX Runtime, and
/// the memory of both. Not thread-safe.
class Session {
 public:
  /// `onnx` names its input and output. \throws EngineError Unsupported with the runtime's message,
  /// which names the node, or OutOfMemory.
  Session(const std::string& onnx, int threads, const std::vector<int64_t>& input_shape,
          const std::vector<int64_t>& output_shape);

  /// \throws EngineError OutOfMemory or Internal.
  void run();

  std::vector<float>& input() { return input_; }
  const std::vector<float>& input() const { return input_; }
  const std::vector<float>& output() const { return output_; }

 private:
  std::string name_of(bool input) const;
  Handle<OrtValue> tensor(std::vector<float>& values, const std::vector<int64_t>& shape) const;

  Handle<OrtEnv> env_;
  Handle<OrtSession> session_;
  std::string input_name_;
  std::string output_name_;
  std::vector<float> input_;
  std::vector<float> output_;
  Handle<OrtValue> input_value_;
  Handle<OrtValue> output_value_;
};

}  // namespace lathe::device::ort
