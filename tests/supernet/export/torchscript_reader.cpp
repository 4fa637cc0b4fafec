// Runs a TorchScript file as a stranger's program would, with nothing of lathe linked:
// torchscript_reader MODEL INPUT OUTPUT N C H W. INPUT and OUTPUT are raw floats. Prints the shape
// of the output and the extra file "lathe.space".

#include <torch/script.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <vector>

namespace {

void run(char** arguments) {
  std::vector<int64_t> shape;
  for (int i = 4; i < 8; ++i) shape.push_back(std::atoll(arguments[i]));
  torch::jit::ExtraFilesMap extra = {{"lathe.space", ""}};
  torch::jit::Module module = torch::jit::load(arguments[1], c10::nullopt, extra);
  at::Tensor input = at::empty(shape);
  std::ifstream in(arguments[2], std::ios::binary);
  in.read(static_cast<char*>(input.data_ptr()), static_cast<std::streamsize>(input.nbytes()));
  const at::Tensor output = module.forward({input}).toTensor().contiguous();
  std::ofstream out(arguments[3], std::ios::binary);
  out.write(static_cast<const char*>(output.data_ptr()),
            static_cast<std::streamsize>(output.nbytes()));
  for (const int64_t size : output.sizes()) std::printf("%lld ", static_cast<long long>(size));
  std::printf("%s", extra["lathe.space"].c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  try {
    run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
