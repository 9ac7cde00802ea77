// Compressed images read at random, whoever made them, and what is refused.
#include "fs/tar/packed_image.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "fs/tar/disk_bytes.h"
#include "fs/tar/tar_file_system.h"
#include "tests/support/fs/packed_builder.h"
#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

namespace stdfs = std::filesystem;
using test::zstd_frame;
using test::zstd_seek_table;

class PackedImages : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (stdfs::temp_directory_path() / "splitring-packed-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/image";
  }
  void TearDown() override { stdfs::remove_all(directory_); }

  Result<std::unique_ptr<PackedImage>> open(const std::string& bytes,
                                            const PackedLimits& limits = {}) {
    std::ofstream(path_, std::ios::binary) << bytes;
    return PackedImage::open(path_, {}, limits);
  }
  void expect_refused(const std::string& bytes, std::string_view why) {
    const auto image = open(bytes);
    ASSERT_FALSE(image) << why;
    EXPECT_NE(image.error().what.find(why), std::string::npos) << image.error().what;
  }

  std::string directory_;
  std::string path_;
};

// Reads everything forwards, then pieces at random, and compares.
void expect_content(PackedImage& image, const std::string& content) {
  EXPECT_EQ(image.geometry().capacity.bytes(), round_up(content.size(), kSectorSize));
  EXPECT_TRUE(image.geometry().read_only);
  const auto lane = std::move(*image.open_queue({}));
  std::string padded = content;
  padded.resize(round_up(content.size(), kSectorSize), '\0');
  std::string got(padded.size(), 'x');
  ASSERT_TRUE(lane->read({0}, std::as_writable_bytes(std::span(got))));
  EXPECT_TRUE(got == padded);
  std::mt19937 random(11);
  for (int i = 0; i < 60; i++) {
    const uint64_t offset = random() % padded.size();
    std::string part(std::min<uint64_t>(random() % 20'000, padded.size() - offset), 'x');
    ASSERT_TRUE(read_disk_bytes(*lane, offset, std::as_writable_bytes(std::span(part))));
    ASSERT_TRUE(part == std::string_view(padded).substr(offset, part.size())) << offset;
  }
}

TEST_F(PackedImages, AnyRangeOfEveryFormatReadsItsBytes) {
  const std::string content = test::compressible_text(3'000'001);
  const std::string_view all = content;
  std::string frames;
  for (size_t at = 0; at < content.size(); at += 400'000)
    frames += zstd_frame(all.substr(at, 400'000), at % 800'000 == 0) + zstd_frame("") +
              test::zstd_skippable("nothing to see");
  const std::pair<const char*, std::string> files[] = {
      {"stored", content},
      {"one frame", zstd_frame(content)},
      {"one frame without length", zstd_frame(content, false)},
      {"frames", frames},
      {"frames behind a skippable one", test::zstd_skippable("pzstd") + frames},
      {"padded", frames + std::string(5000, '\0')},
      {"seekable", test::zstd_seekable(content, 65'536)},
      {"gzip", test::gzip_member(content)},
      {"gzip members", test::gzip_member(all.substr(0, 1'500'000)) + test::gzip_member("") +
                           test::gzip_member(all.substr(1'500'000)) + std::string(1000, '\0')},
  };
  for (const auto& [name, bytes] : files) {
    SCOPED_TRACE(name);
    const auto image = open(bytes);
    ASSERT_TRUE(image) << image.error().what;
    expect_content(**image, content);
  }
}

TEST_F(PackedImages, WhatTheProgramsOfDebianWriteReads) {
  const std::string content = test::compressible_text(2'500'000);
  std::ofstream(directory_ + "/content", std::ios::binary) << content;
  for (const char* command : {"zstd -q -c", "zstd -q -5 --long=27 -c", "pzstd -q -c", "gzip -c",
                              "gzip -1 -c", "zstd -q -c <", "cat"}) {
    const std::string line =
        "cd '" + directory_ + "' && " + command + " content > image 2>/dev/null";
    ASSERT_EQ(std::system(line.c_str()), 0) << line;
    SCOPED_TRACE(command);
    const auto image = PackedImage::open(path_);
    ASSERT_TRUE(image) << image.error().what;
    expect_content(**image, content);
  }
}

TEST_F(PackedImages, AnArchiveInOneIsAnArchive) {
  auto archive = test::TarBuilder();
  for (int i = 0; i < 500; i++)
    archive.member("f" + std::to_string(i), test::compressible_text(static_cast<size_t>(i) * 7));
  archive.zero_blocks(2);
  for (const std::string& bytes :
       {test::zstd_seekable(archive.bytes(), 100'000), zstd_frame(archive.bytes()),
        test::gzip_member(archive.bytes())}) {
    const auto image = open(bytes);
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

TEST_F(PackedImages, RestartPointsOfGzipAreFewHoweverLongItIs) {
  const auto image = open(test::gzip_member(test::compressible_text(9'000'000)));
  ASSERT_TRUE(image);
  EXPECT_GE((*image)->map().points.size(), 7U);
  EXPECT_LE((*image)->map().points.size(), 10U);
}

TEST_F(PackedImages, SeekTablesThatLieAreRefused) {
  const std::string one = zstd_frame("hello");
  const std::string two = zstd_frame("world!");
  const auto size = [](const std::string& text) { return static_cast<uint32_t>(text.size()); };
  ASSERT_TRUE(open(one + two + zstd_seek_table({{size(one), 5}, {size(two), 6}})));
  expect_refused(one + two + zstd_seek_table({{size(one), 5}}), "does not lead through");
  expect_refused(one + two + zstd_seek_table({{size(one), 5}, {size(two) + 1, 6}}),
                 "does not lead through");
  std::string many = one + zstd_seek_table({{size(one), 5}});
  std::memcpy(many.data() + many.size() - 9, "\xff\xff\xff\x7f", 4);
  expect_refused(many, "more frames than there can be");
  std::string length = one + zstd_seek_table({{size(one), 5}});
  length[one.size() + 4]++;
  expect_refused(length, "wrong length");
}

TEST_F(PackedImages, AFrameThatIsNotAsItsTableSaysIsAnErrorOfTheRead) {
  const auto size = [](const std::string& text) { return static_cast<uint32_t>(text.size()); };
  for (const bool says_length : {true, false}) {
    const std::string one = zstd_frame("hello", says_length);
    const std::string two = zstd_frame("world!", says_length);
    for (const auto& [first, second] :
         {std::pair{50U, 6U}, std::pair{4U, 7U}, std::pair{6U, 5U}, std::pair{5U, 1'000'000U}}) {
      const auto image =
          open(one + two + zstd_seek_table({{size(one), first}, {size(two), second}}));
      ASSERT_TRUE(image);
      const auto lane = std::move(*(*image)->open_queue({}));
      std::string got((*image)->geometry().capacity.bytes(), '\0');
      EXPECT_FALSE(lane->read({0}, std::as_writable_bytes(std::span(got)))) << first << second;
    }
  }
}

TEST_F(PackedImages, TruncatedAndDamagedFilesAreRefusedOrErrorsOfReads) {
  const std::string content = test::compressible_text(300'000);
  for (const std::string& whole :
       {zstd_frame(content), zstd_frame(content, false), test::zstd_seekable(content, 65'536),
        test::gzip_member(content)}) {
    for (int i = 1; i < 40; i++) {
      const auto image = open(whole.substr(0, whole.size() * static_cast<size_t>(i) / 40));
      EXPECT_FALSE(image) << i;
    }
    std::mt19937 random(13);
    for (int i = 0; i < 40; i++) {
      std::string bad = whole;
      bad[random() % bad.size()] ^= static_cast<char>(1 + random() % 255);
      const auto image = open(bad);
      if (!image) continue;
      const auto lane = std::move(*(*image)->open_queue({}));
      std::string got(std::min<uint64_t>((*image)->geometry().capacity.bytes(), 1U << 20), '\0');
      if (!got.empty()) (void)lane->read({0}, std::as_writable_bytes(std::span(got)));
    }
  }
  expect_refused(test::gzip_member(content) + "garbage", "damaged gzip file");
  expect_refused(zstd_frame(content) + "garbage", "damaged zstd file");
}

TEST_F(PackedImages, BombsAreRefusedBeforeTheyGoOff) {
  const std::string zeroes(20 << 20, '\0');
  const PackedLimits limits{.run_bytes = 1 << 20, .measured_bytes = 1 << 20};
  for (const std::string& bomb :
       {zstd_frame(zeroes), zstd_frame(zeroes, false), test::gzip_member(zeroes)}) {
    const auto image = open(bomb, limits);
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code, Errc::kLimit) << image.error().what;
  }
  // A length of 2^60 in the header, and one small block behind it.
  std::string lying = "\x28\xb5\x2f\xfd\xc0";
  lying += std::string("\0\0\0\0\0\0\0\0\x10", 9) + std::string("\x0b\0\0x", 4);
  expect_refused(lying, "more than its blocks can hold");
  // A window of 1 GiB.
  std::string window = "\x28\xb5\x2f\xfd";
  window += std::string("\0\xa0", 2) + std::string("\x0b\0\0x", 4);
  expect_refused(window, "window");
}

TEST_F(PackedImages, OnlyForReadingAndOnlyFiles) {
  DiskSchemes schemes;
  add_packed_schemes(schemes);
  std::ofstream(path_, std::ios::binary) << zstd_frame("hello");
  EXPECT_TRUE(schemes.open("archive:" + path_, {.read_only = true}));
  EXPECT_TRUE(schemes.open("zst:" + path_, {.read_only = true}));
  EXPECT_FALSE(schemes.open("gz:" + path_, {.read_only = true})) << "another format";
  const auto writable = schemes.open("zst:" + path_, {});
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().code, Errc::kPermission);
  EXPECT_FALSE(schemes.open("archive:" + directory_, {.read_only = true}));
  EXPECT_FALSE(schemes.open("archive:" + path_ + ".not", {.read_only = true}));
}

TEST_F(PackedImages, AnEmptyContentIsAnEmptyDisk) {
  for (const std::string& bytes :
       {zstd_frame(""), test::gzip_member(""), zstd_seek_table({}), std::string()}) {
    const auto image = open(bytes);
    ASSERT_TRUE(image) << image.error().what;
    EXPECT_EQ((*image)->geometry().capacity.count, 0U);
  }
}

}  // namespace
}  // namespace splitring
