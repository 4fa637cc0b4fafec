#include "supernet/data/image_set.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/message_of.h"

using namespace lathe;
using namespace lathe::supernet;

TEST_CASE("A selection shares the pixels of its set") {
  const ImageSet set({1, 1, 2}, {1, 2, 3, 4, 5, 6}, {7, 8, 9});
  const ImageSet part = select(set, {2, 0, 2});
  CHECK(part.size() == 3);
  CHECK(part.label(0) == 9);
  CHECK(part.image(1) == set.image(0));
  const ImageSet again = select(part, {1});
  CHECK(again.label(0) == 7);
  CHECK(again.image(0) == set.image(0));
  CHECK(images_per_class(part, 10) == std::vector<int64_t>{0, 0, 0, 0, 0, 0, 0, 1, 0, 2});
  CHECK(ImageSet().size() == 0);
}

TEST_CASE("A selection keeps its pixels when the set has gone") {
  ImageSet part;
  {
    const ImageSet set({1, 1, 1}, {5, 6}, {0, 1});
    part = select(set, {1});
  }
  CHECK(part.image(0)[0] == 6);
}

TEST_CASE("Image sets refuse what does not fit") {
  CHECK(test::message_of<InvariantError>([] {
          ImageSet({1, 2, 2}, {1, 2, 3}, {0});
        }) == "ImageSet: 3 bytes, expected 1 images of 4");
  const ImageSet set({1, 1, 1}, {5, 6}, {0, 4});
  CHECK(test::message_of<InvariantError>([&] {
          select(set, {0, 2});
        }) == "select: index = 2, expected 0 to 1");
  CHECK(test::message_of<InvariantError>([&] { images_per_class(set, 3); }) ==
        "images_per_class: label of image 1 = 4, expected 0 to 2");
}
