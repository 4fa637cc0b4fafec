// Data sets of one image file an image: folders (train/CLASS/IMAGE) and CSV indices.

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "supernet/data/csv_index.h"
#include "supernet/data/dataset_kinds.h"
#include "supernet/data/image_cache.h"
#include "supernet/data/image_decoder.h"
#include "supernet/data/parallel.h"

namespace lathe::supernet {
namespace {

namespace fs = std::filesystem;

/// The images of one part before they are decoded.
struct Listing {
  std::vector<fs::path> files;
  std::vector<int64_t> labels;
};

std::string where_is(const fs::path& file, int64_t index) {
  return file.string() + " (image " + std::to_string(index) + ")";
}

/// The files of one part as a source of the cache.
class FileSource : public ImageSource {
 public:
  FileSource(std::string name, fs::path folder, const std::vector<fs::path>& files,
             const DataOptions& options)
      : name_(std::move(name)), folder_(std::move(folder)), files_(files), options_(options) {}

  std::string name() const override { return name_; }
  std::string place() const override { return fs::absolute(folder_).string() + " " + settings(); }
  std::string key() const override {
    std::string text = "files\n" + settings() + "\n";
    for (const fs::path& file : files_) text += file_identity(file);
    return text;
  }
  int64_t count() const override { return static_cast<int64_t>(files_.size()); }

  ImageShape shape() const override {
    if (options_.resolution > 0) {
      return {options_.channels, options_.resolution, options_.resolution};
    }
    const DecodedImage first = read(0);
    return {options_.channels, first.height, first.width};
  }

  void decode(const ImageShape& shape, uint8_t* pixels) const override {
    for_each_in_parallel(count(), [&](int64_t i) {
      DecodedImage image = read(i);
      if (options_.resolution > 0) image = resampled(image, options_.resolution);
      if (image.height != shape.height || image.width != shape.width) {
        throw DataError(where_is(files_[static_cast<size_t>(i)], i) + ": " +
                        size_text(image.height, image.width) + " pixels, expected " +
                        size_text(shape.height, shape.width) + " as " + files_[0].string() +
                        " has; data.resolution: N brings all images to one size");
      }
      to_planes(image, pixels + i * shape.size());
    });
  }

 private:
  std::string settings() const {
    return std::to_string(options_.channels) + " " + std::to_string(options_.resolution);
  }
  DecodedImage read(int64_t index) const {
    const fs::path& file = files_[static_cast<size_t>(index)];
    return decode_image(file, options_.channels, where_is(file, index));
  }

  std::string name_;
  fs::path folder_;
  const std::vector<fs::path>& files_;
  DataOptions options_;
};

/// Lists the images of a data set's parts and knows their classes. Immutable.
class Lister {
 public:
  virtual ~Lister() = default;
  /// The folder or file that lists a part.
  virtual fs::path index(const std::string& part) const = 0;
  virtual std::vector<std::string> class_names() const = 0;
  virtual Listing list(const std::string& part,
                       const std::vector<std::string>& class_names) const = 0;
};

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw DataError(folder.string() + ": is not a folder");
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().front() != '.') entries.push_back(entry.path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// FOLDER/PART/CLASS/IMAGE; hidden files are no part of it.
class FolderLister : public Lister {
 public:
  explicit FolderLister(fs::path folder) : folder_(std::move(folder)) {}

  fs::path index(const std::string& part) const override { return folder_ / part; }

  std::vector<std::string> class_names() const override {
    std::vector<std::string> names;
    for (const fs::path& entry : sorted_entries(index("train"))) {
      if (!fs::is_directory(entry)) {
        throw DataError(entry.string() + ": is not a folder, expected one for each class");
      }
      names.push_back(entry.filename().string());
    }
    if (names.empty()) {
      throw DataError(index("train").string() + ": is empty, expected a folder for each class");
    }
    return names;
  }

  Listing list(const std::string& part,
               const std::vector<std::string>& class_names) const override {
    Listing listing;
    for (const fs::path& entry : sorted_entries(index(part))) {
      const auto known =
          std::find(class_names.begin(), class_names.end(), entry.filename().string());
      if (known == class_names.end()) {
        throw DataError(entry.string() + ": no class of that name in " + index("train").string() +
                        ", expected one of " + join(class_names, ", "));
      }
      add(entry, known - class_names.begin(), listing);
    }
    return listing;
  }

 private:
  static void add(const fs::path& folder, int64_t label, Listing& listing) {
    std::vector<fs::path> others;
    for (const fs::path& entry : sorted_entries(folder)) {
      if (fs::is_directory(entry)) {
        throw DataError(entry.string() + ": is a folder, expected images in a class's folder");
      }
      if (!is_image_name(entry)) {
        others.push_back(entry);
        continue;
      }
      listing.files.push_back(entry);
      listing.labels.push_back(label);
    }
    if (!others.empty()) {
      log::warning("files that are no images are left out",
                   {{"first", others.front().string()}, {"files", std::to_string(others.size())}});
    }
  }

  fs::path folder_;
};

/// FOLDER/PART.csv.
class CsvLister : public Lister {
 public:
  explicit CsvLister(fs::path folder) : folder_(std::move(folder)) {}

  fs::path index(const std::string& part) const override { return folder_ / (part + ".csv"); }

  /// Whole numbers are the classes' own numbers; other labels are sorted by name.
  std::vector<std::string> class_names() const override {
    std::set<std::string> labels;
    for (const IndexEntry& entry : read_csv_index(index("train"))) labels.insert(entry.label);
    std::vector<std::string> names(labels.begin(), labels.end());
    if (std::all_of(names.begin(), names.end(), is_number)) {
      const auto shorter_or_less = [](const std::string& a, const std::string& b) {
        return a.size() != b.size() ? a.size() < b.size() : a < b;
      };
      const int64_t last =
          std::stoll(*std::max_element(names.begin(), names.end(), shorter_or_less));
      names.clear();
      for (int64_t c = 0; c <= last; ++c) names.push_back(std::to_string(c));
    }
    return names;
  }

  Listing list(const std::string& part,
               const std::vector<std::string>& class_names) const override {
    const fs::path file = index(part);
    std::unordered_map<std::string, int64_t> label_of;
    for (const std::string& name : class_names) {
      label_of.emplace(name, static_cast<int64_t>(label_of.size()));
    }
    std::unordered_map<std::string, int64_t> trained_on;  // and the line that says so
    if (part != "train") {
      for (const IndexEntry& entry : read_csv_index(index("train"))) {
        trained_on.emplace(entry.file.string(), entry.line);
      }
    }
    Listing listing;
    for (const IndexEntry& entry : read_csv_index(file)) {
      const std::string where = file.string() + ":" + std::to_string(entry.line) + ": ";
      const auto label = label_of.find(entry.label);
      if (label == label_of.end()) {
        throw DataError(where + "label = " + entry.label + ", expected a class of " +
                        index("train").string());
      }
      const auto trained = trained_on.find(entry.file.string());
      if (trained != trained_on.end()) {
        throw DataError(where + entry.file.string() + " stands in " + index("train").string() +
                        ":" + std::to_string(trained->second) +
                        ", too, expected other images to test on");
      }
      if (!fs::is_regular_file(folder_ / entry.file)) {
        throw DataError(where + (folder_ / entry.file).string() + ": no such file");
      }
      listing.files.push_back(folder_ / entry.file);
      listing.labels.push_back(label->second);
    }
    return listing;
  }

 private:
  /// Of at most four digits, without a leading zero.
  static bool is_number(const std::string& text) {
    return text.size() <= 4 && (text == "0" || text.front() != '0') &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  fs::path folder_;
};

class FileDataset : public Dataset {
 public:
  FileDataset(fs::path folder, std::unique_ptr<Lister> lister, const DataOptions& options)
      : name_(options.dataset),
        folder_(std::move(folder)),
        lister_(std::move(lister)),
        options_(options) {}

  const std::string& name() const override { return name_; }
  const fs::path& folder() const override { return folder_; }
  DatasetInfo train_info() const override { return train().info; }
  ImageSet read_train() const override { return train().images; }
  int64_t test_count() const override {
    return static_cast<int64_t>(lister_->list("test", lister_->class_names()).files.size());
  }

  ImageSet read_test() const override {
    const DatasetInfo& info = train().info;
    const Listing listing = listed("test", info.class_names);
    CachedImages cached = read_cached("test", listing);
    if (cached.shape != info.shape) {
      throw DataError(where_is(listing.files[0], 0) + ": " +
                      size_text(cached.shape.height, cached.shape.width) + " pixels, expected " +
                      size_text(info.shape.height, info.shape.width) + " as in training" +
                      "; data.resolution: N brings all images to one size");
    }
    return {cached.shape, std::move(cached.pixels), listing.labels};
  }

 private:
  struct Train {
    DatasetInfo info;
    ImageSet images;
  };

  const Train& train() const {
    if (!train_) train_ = read_train_files();
    return *train_;
  }

  Train read_train_files() const {
    Train read;
    read.info.name = name_;
    read.info.class_names = lister_->class_names();
    read.info.classes = static_cast<int64_t>(read.info.class_names.size());
    if (read.info.classes < 2) {
      throw DataError(lister_->index("train").string() +
                      ": classes = " + std::to_string(read.info.classes) + ", expected at least 2");
    }
    const Listing listing = listed("train", read.info.class_names);
    read.info.train = static_cast<int64_t>(listing.files.size());
    read.info.identity = name_ + " " + listing_hash(listing);
    CachedImages cached = read_cached("train", listing);
    read.info.shape = cached.shape;
    read.info.mean = cached.statistics.mean;
    read.info.standard_deviation = cached.statistics.standard_deviation;
    for (size_t c = 0; c < read.info.mean.size(); ++c) {
      if (read.info.standard_deviation[c] > 0.0) continue;
      throw DataError(lister_->index("train").string() + ": channel " + std::to_string(c) +
                      " is the same in all pixels of all images, expected images that differ");
    }
    read.images = ImageSet(cached.shape, std::move(cached.pixels), listing.labels);
    return read;
  }

  /// The same wherever the folder lies and whenever it was copied.
  std::string listing_hash(const Listing& listing) const {
    std::string text =
        std::to_string(options_.channels) + " " + std::to_string(options_.resolution);
    for (size_t i = 0; i < listing.files.size(); ++i) {
      text += "\n" + listing.files[i].lexically_relative(folder_).string() + " " +
              std::to_string(fs::file_size(listing.files[i])) + " " +
              std::to_string(listing.labels[i]);
    }
    return sha256_hex(text);
  }

  /// Empty classes are found before anything is decoded.
  Listing listed(const std::string& part, const std::vector<std::string>& class_names) const {
    Listing listing = lister_->list(part, class_names);
    std::vector<bool> seen(class_names.size(), false);
    for (const int64_t label : listing.labels) seen[static_cast<size_t>(label)] = true;
    for (size_t c = 0; c < seen.size(); ++c) {
      if (seen[c]) continue;
      throw DataError(lister_->index(part).string() + ": class " + std::to_string(c) + " (" +
                      class_names[c] + ") has no image, expected at least 1");
    }
    return listing;
  }

  CachedImages read_cached(const std::string& part, const Listing& listing) const {
    return read_through_cache(FileSource(name_ + "-" + part, folder_, listing.files, options_),
                              image_cache_folder(options_));
  }

  std::string name_;
  fs::path folder_;
  std::unique_ptr<Lister> lister_;
  DataOptions options_;
  mutable std::optional<Train> train_;
};

}  // namespace

std::unique_ptr<Dataset> open_files(const DataOptions& options) {
  const bool is_folder = options.dataset == "folder";
  if (!is_folder && options.dataset != "csv") return nullptr;
  const std::string obtained = is_folder
                                   ? "expected one with train/CLASS/ and test/CLASS/ of images"
                                   : "expected one with train.csv and test.csv";
  if (options.path.empty()) throw ConfigError("/data/path is empty, " + obtained);
  const fs::path folder = dataset_folder(options, {}, obtained);
  std::unique_ptr<Lister> lister;
  if (is_folder) {
    lister = std::make_unique<FolderLister>(folder);
  } else {
    lister = std::make_unique<CsvLister>(folder);
  }
  return std::make_unique<FileDataset>(folder, std::move(lister), options);
}

}  // namespace lathe::supernet
