// In place of image_decoder.cpp where LATHE_WITH_OPENCV is off.

#include "core/error.h"
#include "supernet/data/image_decoder.h"

namespace lathe::supernet {

DecodedImage decode_image(const std::filesystem::path&, int64_t, const std::string& where) {
  throw DataError(where + ": cannot be decoded, this lathe was built without OpenCV " +
                  "(LATHE_WITH_OPENCV=OFF); IDX and CIFAR's binary files need none");
}

DecodedImage resampled(const DecodedImage&, int64_t) {
  throw InvariantError("resampled: built without OpenCV");
}

}  // namespace lathe::supernet
