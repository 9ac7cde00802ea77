// An archive within a compressed image.
#include <gtest/gtest.h>

#include "blkimage/packed_image.h"
#include "fs/tar/tar_file_system.h"
#include "tests/support/fs/packed_builder.h"
#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

TEST(PackedTar, AnArchiveInACompressedImageIsAnArchive) {
  auto archive = test::TarBuilder();
  for (int i = 0; i < 500; i++)
    archive.member("f" + std::to_string(i), test::compressible_text(static_cast<size_t>(i) * 7));
  archive.zero_blocks(2);
  for (const std::string& bytes :
       {test::zstd_seekable(archive.bytes(), 100'000), test::zstd_frame(archive.bytes()),
        test::gzip_member(archive.bytes())}) {
    const auto image = PackedImage::open(std::make_unique<test::TestDisk>(bytes));
    ASSERT_TRUE(image);
    const auto lane = std::move(*(*image)->open_queue({}));
    const auto tar = TarFileSystem::open(*lane);
    ASSERT_TRUE(tar) << tar.error().what;
    EXPECT_EQ((*tar)->file_count(), 500U);
    const TarEntry file = *(*tar)->find("f499");
    std::string text(file.size, '\0');
    ASSERT_TRUE((*tar)->read(*lane, file, 0, std::as_writable_bytes(std::span(text))));
    EXPECT_EQ(text, test::compressible_text(499 * 7));
  }
}

}  // namespace
}  // namespace splitring
