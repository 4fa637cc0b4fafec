#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lathe::supernet {

/// Channels, height and width of the images of a set.
struct ImageShape {
  int64_t channels = 0, height = 0, width = 0;

  int64_t size() const { return channels * height * width; }
  bool operator==(const ImageShape& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
  bool operator!=(const ImageShape& other) const { return !(*this == other); }
};

/// Decoded images of one size with their labels, or a selection of them: a view that shares what
/// holds the pixels (memory, or a mapped file), so copying and selecting copies no pixel.
/// Immutable; concurrent use is safe.
class ImageSet {
 public:
  ImageSet() = default;
  /// `pixels` point to labels.size() images [C, H, W] one after another, and own what holds them.
  ImageSet(ImageShape shape, std::shared_ptr<const uint8_t> pixels, std::vector<int64_t> labels);
  /// The same for pixels in memory. \throws InvariantError if their number does not fit the labels.
  ImageSet(ImageShape shape, std::vector<uint8_t> pixels, std::vector<int64_t> labels);

  int64_t size() const {
    return static_cast<int64_t>(indices_ ? indices_->size() : labels_->size());
  }
  const ImageShape& shape() const { return shape_; }
  /// Returns the pixels [C, H, W] of an image; `index` in [0, size()).
  const uint8_t* image(int64_t index) const {
    return pixels_.get() + stored(index) * shape_.size();
  }
  /// Returns its label, in [0, classes).
  int64_t label(int64_t index) const { return (*labels_)[static_cast<size_t>(stored(index))]; }

  friend ImageSet select(const ImageSet& set, const std::vector<int64_t>& indices);

 private:
  int64_t stored(int64_t index) const {
    return indices_ ? (*indices_)[static_cast<size_t>(index)] : index;
  }

  ImageShape shape_;
  std::shared_ptr<const uint8_t> pixels_;
  std::shared_ptr<const std::vector<int64_t>> labels_ = std::make_shared<std::vector<int64_t>>();
  std::shared_ptr<const std::vector<int64_t>> indices_;  ///< into pixels and labels; null: all
};

/// Returns the images at `indices` of `set`, in that order; they share its pixels.
/// \throws InvariantError if an index is outside [0, set.size()).
ImageSet select(const ImageSet& set, const std::vector<int64_t>& indices);

/// Returns how many images of each class `set` has.
/// \throws InvariantError if a label is not below `classes`.
std::vector<int64_t> images_per_class(const ImageSet& set, int64_t classes);

/// What is known of a data set.
struct DatasetInfo {
  std::string name;
  std::string identity;  ///< what the hashes of the splits begin with: the name, and for images of
                         ///< the user's own a hash of their files and labels
  ImageShape shape;
  int64_t classes = 0;
  int64_t train = 0, test = 0;  ///< images in the files
  std::vector<std::string> class_names;
  std::vector<double> mean;                ///< per channel, of pixels scaled to 0..1
  std::vector<double> standard_deviation;  ///< per channel
};

}  // namespace lathe::supernet
