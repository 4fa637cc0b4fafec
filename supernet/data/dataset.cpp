#include "supernet/data/dataset.h"

#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "supernet/data/idx.h"

namespace lathe::supernet {
namespace {

/// Where an IDX data set in the layout of MNIST comes from and what it shows.
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

  DatasetInfo train_info() const override {
    DatasetInfo info;
    info.name = name_;
    const auto dimensions = image_dimensions("train");
    info.channels = 1;
    info.train = dimensions[0];
    info.height = dimensions[1];
    info.width = dimensions[2];
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

  ImageSet read(const std::string& part) const {
    const auto images = file(part + "-images-idx3-ubyte");
    const auto labels = file(part + "-labels-idx1-ubyte");
    DatasetInfo info = train_info();
    ImageSet set = read_idx_images(images, labels, info.classes);
    if (set.height != info.height || set.width != info.width) {
      throw DataError(images.string() + ": images are " + std::to_string(set.height) + " x " +
                      std::to_string(set.width) + ", expected " + std::to_string(info.height) +
                      " x " + std::to_string(info.width) + " as in training");
    }
    check_classes(set, info, labels.string());
    return set;
  }

  const IdxDescription& description_;
  std::string name_;
  std::filesystem::path folder_;
};

}  // namespace

void check_classes(const ImageSet& set, const DatasetInfo& info, const std::string& where) {
  std::vector<int64_t> counts(static_cast<size_t>(info.classes), 0);
  for (const int64_t label : set.labels) ++counts[static_cast<size_t>(label)];
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) {
      throw DataError(where + ": class " + std::to_string(c) + " (" + info.class_names[c] +
                      ") has no image, expected at least 1");
    }
  }
}

std::unique_ptr<Dataset> open_dataset(const DataOptions& options) {
  for (const IdxDescription& description : idx_descriptions()) {
    if (options.dataset != description.name) continue;
    const std::filesystem::path folder = options.path.empty() ? description.folder : options.path;
    if (!std::filesystem::is_directory(folder)) {
      throw DataError("data set " + options.dataset + ": " + folder.string() +
                      " is not a folder; " + description.obtained);
    }
    return std::make_unique<IdxDataset>(description, folder);
  }
  const auto name_of = [](const IdxDescription& known) { return known.name; };
  throw ConfigError("/data/dataset = " + options.dataset + ", expected one of " +
                    join(idx_descriptions(), ", ", name_of));
}

}  // namespace lathe::supernet
