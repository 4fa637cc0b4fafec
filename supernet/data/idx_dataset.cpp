// Data sets in the IDX files of MNIST. They decode faster than a cache could be checked.

#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "supernet/data/dataset_kinds.h"
#include "supernet/data/idx.h"

namespace lathe::supernet {
namespace {

/// Where a data set comes from and what it shows.
struct IdxDescription {
  const char* name;
  const char* folder;    ///< where its package puts it
  const char* obtained;  ///< how to get it
  std::vector<std::string> class_names;
  double mean, standard_deviation;
};

const std::vector<IdxDescription>& idx_descriptions() {
  static const std::vector<IdxDescription> kDescriptions = {
      {"fashion_mnist",
       "/usr/share/datasets/fashion-mnist",
       "install the Debian package dataset-fashion-mnist or set data.path",
       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot"},
       0.2860,
       0.3530},
      {"mnist",
       "/usr/share/datasets/mnist",
       "set data.path to the folder of its four IDX files",
       {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
       0.1307,
       0.3081},
  };
  return kDescriptions;
}

/// Four files, plain or gzip: {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz].
class IdxDataset : public Dataset {
 public:
  IdxDataset(const IdxDescription& description, std::filesystem::path folder)
      : description_(description), name_(description.name), folder_(std::move(folder)) {}

  const std::string& name() const override { return name_; }
  const std::filesystem::path& folder() const override { return folder_; }

  DatasetInfo train_info() const override {
    DatasetInfo info;
    info.name = name_;
    info.identity = identity();
    const auto dimensions = image_dimensions("train");
    info.train = dimensions[0];
    info.shape = {1, dimensions[1], dimensions[2]};
    info.class_names = description_.class_names;
    info.classes = static_cast<int64_t>(info.class_names.size());
    info.mean = {description_.mean};
    info.standard_deviation = {description_.standard_deviation};
    return info;
  }

  int64_t test_count() const override {
    file("t10k-labels-idx1-ubyte");
    return image_dimensions("t10k")[0];
  }

  ImageSet read_train() const override { return read("train"); }
  ImageSet read_test() const override { return read("t10k"); }

 private:
  std::filesystem::path file(const std::string& stem) const {
    for (const char* suffix : {".gz", ""}) {
      const std::filesystem::path path = folder_ / (stem + suffix);
      if (std::filesystem::exists(path)) return path;
    }
    throw DataError((folder_ / (stem + ".gz")).string() + ": no such file; " +
                    description_.obtained);
  }

  std::vector<int64_t> image_dimensions(const std::string& part) const {
    const auto path = file(part + "-images-idx3-ubyte");
    auto dimensions = read_idx_dimensions(path);
    if (dimensions.size() != 3) {
      throw DataError(path.string() + ": IDX rank = " + std::to_string(dimensions.size()) +
                      ", expected 3");
    }
    return dimensions;
  }

  /// By content: files of this format hold anything, and are packed or not.
  const std::string& identity() const {
    if (identity_.empty()) {
      std::vector<int64_t> dimensions;
      std::string text = name_;
      for (const auto& [stem, rank] :
           {std::pair<const char*, size_t>{"train-images-idx3-ubyte", 3},
            std::pair<const char*, size_t>{"train-labels-idx1-ubyte", 1}}) {
        const std::vector<uint8_t> bytes = read_idx(file(stem), rank, dimensions);
        text += " " + sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      }
      identity_ = text;
    }
    return identity_;
  }

  ImageSet read(const std::string& part) const {
    const auto images = file(part + "-images-idx3-ubyte");
    const auto labels = file(part + "-labels-idx1-ubyte");
    DatasetInfo info = train_info();
    ImageSet set = read_idx_images(images, labels, info.classes);
    if (set.shape() != info.shape) {
      throw DataError(images.string() + ": images are " +
                      size_text(set.shape().height, set.shape().width) + ", expected " +
                      size_text(info.shape.height, info.shape.width) + " as in training");
    }
    check_classes(set, info, labels.string());
    return set;
  }

  const IdxDescription& description_;
  std::string name_;
  std::filesystem::path folder_;
  mutable std::string identity_;
};

}  // namespace

std::unique_ptr<Dataset> open_idx(const DataOptions& options) {
  for (const IdxDescription& description : idx_descriptions()) {
    if (options.dataset != description.name) continue;
    return std::make_unique<IdxDataset>(
        description, dataset_folder(options, {description.folder}, description.obtained));
  }
  return nullptr;
}

}  // namespace lathe::supernet
