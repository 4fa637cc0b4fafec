#include "cli/pipeline/compressor.h"

#include <doctest/doctest.h>

#include <string>

#include "core/file.h"
#include "tests/support/temporary_folder.h"

using namespace lathe;
namespace fs = std::filesystem;

namespace {

const std::string kSpace = "space: " LATHE_SOURCE_DIR "/configs/spaces/mobilenet_28.yaml\nsearch: {objectives: [accuracy, macs]}\n";

struct Scene {
  test::TemporaryFolder folder;

  cli::RunConfig read(const std::string& compress) {
    write_file_atomically(folder / "c.yaml", kSpace + "compress: " + compress + "\n");
    return cli::read_run_config(folder / "c.yaml", {});
  }
};

}  // namespace

TEST_CASE("what fp32 is done with leaves the state of int8 training alone, and the other way round") {
  Scene scene;
  const cli::RunConfig config =
      scene.read("{distil: {epochs: 1}, prune: {target: macs x0.5}, quantize: {training: {epochs: 1}}}");
  const fs::path states = scene.folder / "states";
  const cli::Compressor compressor(config, states);
  const search::Architecture architecture = config.space->smallest();
  const std::string of = architecture.to_string() + "\n" + compressor.recipe(latency::Precision::Fp32);
  const std::string digest = sha256_hex(of).substr(0, 16);
  const fs::path distil = states / ("distil-" + digest) / "weights.pt";
  const fs::path prune = states / ("prune-" + digest) / "rounds.json";
  const fs::path quantize = states / ("quantize-" + digest) / "a.pt";
  for (const fs::path& file : {distil, prune, quantize}) {
    fs::create_directories(file.parent_path());
    write_file_atomically(file, "state");
  }
  compressor.forget(architecture, latency::Precision::Fp32);
  CHECK_FALSE(fs::exists(distil));
  CHECK_FALSE(fs::exists(prune));
  CHECK(fs::exists(quantize));
  fs::create_directories(distil.parent_path());
  write_file_atomically(distil, "state");
  compressor.forget(architecture, latency::Precision::Int8);
  CHECK_FALSE(fs::exists(quantize));
  CHECK(fs::exists(distil));
}

TEST_CASE("another teacher under the same name is another recipe") {
  Scene scene;
  write_file_atomically(scene.folder / "teacher.onnx", "one");
  const cli::RunConfig config = scene.read("{distil: {epochs: 1, teacher: teacher.onnx}}");
  const auto recipe = [&] { return cli::Compressor(config, scene.folder / "states").recipe(latency::Precision::Fp32); };
  const std::string before = recipe();
  CHECK(recipe() == before);
  write_file_atomically(scene.folder / "teacher.onnx", "two");
  CHECK(recipe() != before);
}
