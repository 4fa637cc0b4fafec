#include "supernet/data/cifar_layout.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/error.h"
#include "core/file.h"
#include "supernet/data/dataset_kinds.h"
#include "supernet/data/image_decoder.h"
#include "supernet/data/parallel.h"

namespace lathe::supernet {
namespace {

namespace fs = std::filesystem;

std::string label_fault(const fs::path& file, int64_t image, const std::string& label,
                        const CifarDescription& description) {
  return file.string() + ": label of image " + std::to_string(image) + " = " + label +
         ", expected 0 to " + std::to_string(description.class_names.size() - 1);
}

/// Records of label bytes and 3,072 pixels [C, H, W]. Read whole: there is nothing to decode.
class BinaryLayout : public CifarLayout {
 public:
  BinaryLayout(const CifarDescription& description, fs::path folder)
      : description_(description), folder_(std::move(folder)) {}

  std::vector<std::pair<fs::path, int64_t>> files(const CifarPart& part) const override {
    std::vector<std::pair<fs::path, int64_t>> found;
    for (const std::string& name : part.files)
      found.emplace_back(folder_ / name, records(folder_ / name));
    return found;
  }

  CifarImages read(const CifarPart& part) const override {
    const auto found = files(part);
    int64_t images = 0;
    for (const auto& file : found) images += file.second;
    std::vector<uint8_t> pixels(static_cast<size_t>(images * kCifarShape.size()));
    std::vector<int64_t> labels;
    uint8_t* target = pixels.data();
    for (const auto& [file, records] : found) {
      const std::string bytes = read_file(file);
      if (static_cast<int64_t>(bytes.size()) != records * record_bytes()) {
        throw DataError(file.string() + ": changed while it was read");
      }
      for (int64_t r = 0; r < records; ++r) {
        const char* record = bytes.data() + r * record_bytes();
        labels.push_back(label_of(record, file, r));
        target = std::copy_n(record + description_.label_bytes, kCifarShape.size(), target);
      }
    }
    CifarImages read;
    read.statistics = pixel_statistics(kCifarShape, images, pixels.data());
    read.set = ImageSet(kCifarShape, std::move(pixels), std::move(labels));
    return read;
  }

 private:
  int64_t record_bytes() const { return description_.label_bytes + kCifarShape.size(); }

  int64_t label_of(const char* record, const fs::path& file, int64_t image) const {
    const auto label = static_cast<uint8_t>(record[description_.label_bytes - 1]);
    if (label >= description_.class_names.size()) {
      throw DataError(label_fault(file, image, std::to_string(label), description_));
    }
    return label;
  }

  int64_t records(const fs::path& file) const {
    std::error_code error;
    const auto bytes = static_cast<int64_t>(fs::file_size(file, error));
    if (error)
      throw DataError(file.string() + ": " + error.message() + "; " + description_.obtained);
    if (bytes == 0 || bytes % record_bytes() != 0) {
      throw DataError(file.string() + ": ends within image " +
                      std::to_string(bytes / record_bytes()) + ", expected a multiple of " +
                      std::to_string(record_bytes()) + " bytes");
    }
    return bytes / record_bytes();
  }

  const CifarDescription& description_;
  fs::path folder_;
};

/// The sheets of one part.
class SheetSource : public ImageSource {
 public:
  SheetSource(std::string name, fs::path folder, std::vector<fs::path> sheets)
      : name_(std::move(name)), folder_(std::move(folder)), sheets_(std::move(sheets)) {
    begins_.push_back(0);
    for (const fs::path& sheet : sheets_) {
      const auto [rows, columns] = read_png_size(sheet);
      if (columns != kCifarShape.height * kCifarShape.width) {
        throw DataError(sheet.string() + ": " + size_text(rows, columns) +
                        " pixels, expected 1024 columns, an image of 32 x 32 in every row");
      }
      begins_.push_back(begins_.back() + rows);
    }
  }

  std::string name() const override { return name_; }
  std::string place() const override { return folder_.string(); }
  int64_t count() const override { return begins_.back(); }
  std::vector<std::pair<fs::path, int64_t>> files() const {
    std::vector<std::pair<fs::path, int64_t>> found;
    for (size_t s = 0; s < sheets_.size(); ++s) {
      found.emplace_back(sheets_[s], begins_[s + 1] - begins_[s]);
    }
    return found;
  }
  ImageShape shape() const override { return kCifarShape; }

  std::string key() const override {
    std::string text = "sheets\n" + name_ + "\n";
    for (const fs::path& sheet : sheets_) text += file_identity(sheet);
    return text;
  }

  void decode(const ImageShape& shape, uint8_t* pixels) const override {
    for_each_in_parallel(static_cast<int64_t>(sheets_.size()), [&](int64_t s) {
      const fs::path& path = sheets_[static_cast<size_t>(s)];
      const int64_t begin = begins_[static_cast<size_t>(s)];
      const int64_t rows = begins_[static_cast<size_t>(s) + 1] - begin;
      DecodedImage sheet = decode_image(path, 3, path.string());
      if (sheet.height != rows || sheet.width != shape.height * shape.width) {
        throw DataError(path.string() + ": changed while it was read");
      }
      DecodedImage row{shape.height, shape.width, 3, {}};
      for (int64_t r = 0; r < rows; ++r) {
        const auto from = sheet.values.begin() + r * shape.size();
        row.values.assign(from, from + shape.size());
        to_planes(row, pixels + (begin + r) * shape.size());
      }
    });
  }

 private:
  std::string name_;
  fs::path folder_;
  std::vector<fs::path> sheets_;
  std::vector<int64_t> begins_;  ///< the first image of every sheet, and the count
};

class SheetLayout : public CifarLayout {
 public:
  SheetLayout(const CifarDescription& description, fs::path folder, fs::path cache)
      : description_(description), folder_(std::move(folder)), cache_(std::move(cache)) {}

  std::vector<std::pair<fs::path, int64_t>> files(const CifarPart& part) const override {
    return source(part).files();
  }

  CifarImages read(const CifarPart& part) const override {
    const SheetSource images = source(part);
    std::vector<int64_t> labels = read_labels(labels_file(part));
    if (static_cast<int64_t>(labels.size()) != images.count()) {
      throw DataError(labels_file(part).string() + ": labels = " + std::to_string(labels.size()) +
                      ", expected " + std::to_string(images.count()) +
                      ", a row of the sheets each");
    }
    CachedImages cached = read_through_cache(images, cache_);
    return {ImageSet(cached.shape, std::move(cached.pixels), std::move(labels)),
            std::move(cached.statistics)};
  }

 private:
  /// The package's own spelling.
  fs::path labels_file(const CifarPart& part) const {
    return folder_ / (std::string(part.name) + "_lables.json");
  }

  SheetSource source(const CifarPart& part) const {
    std::vector<fs::path> sheets;
    if (std::string(part.name) == "test") {
      sheets.push_back(folder_ / "test_batch.png");
    } else {
      for (int64_t s = 1; s == 1 || fs::exists(sheet(s)); ++s) sheets.push_back(sheet(s));
    }
    return {std::string(description_.name) + "-" + part.name, folder_, sheets};
  }

  fs::path sheet(int64_t number) const {
    return folder_ / ("data_batch_" + std::to_string(number) + ".png");
  }

  std::vector<int64_t> read_labels(const fs::path& path) const {
    const auto json = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
    if (!json.is_array()) throw DataError(path.string() + ": expected a JSON list of labels");
    std::vector<int64_t> labels;
    for (const auto& value : json) {
      const bool known = value.is_number_integer() && value.get<int64_t>() >= 0 &&
                         value.get<size_t>() < description_.class_names.size();
      if (!known) {
        throw DataError(
            label_fault(path, static_cast<int64_t>(labels.size()), value.dump(), description_));
      }
      labels.push_back(value.get<int64_t>());
    }
    return labels;
  }

  const CifarDescription& description_;
  fs::path folder_, cache_;
};

}  // namespace

std::unique_ptr<CifarLayout> binary_cifar(const CifarDescription& description,
                                          const fs::path& folder) {
  return std::make_unique<BinaryLayout>(description, folder);
}

std::unique_ptr<CifarLayout> cifar_sheets(const CifarDescription& description,
                                          const fs::path& folder, const fs::path& cache) {
  return std::make_unique<SheetLayout>(description, folder, cache);
}

}  // namespace lathe::supernet
