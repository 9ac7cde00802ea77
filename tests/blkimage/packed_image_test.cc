// Compressed images read at random, whoever made them and wherever they lie, and what is refused.
#include "blkimage/packed_image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>

#include "blkimage/packed_index.h"
#include "tests/support/device_conformance.h"
#include "tests/support/fs/packed_builder.h"
#include "tests/support/fs/test_disk.h"

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
    const uint64_t offset = random() % padded.size() / kSectorSize * kSectorSize;
    const uint64_t length = (1 + random() % 40) * kSectorSize;
    std::string part(std::min<uint64_t>(length, padded.size() - offset), 'x');
    ASSERT_TRUE(lane->read(Sectors::from_bytes(offset), std::as_writable_bytes(std::span(part))));
    ASSERT_TRUE(part == std::string_view(padded).substr(offset, part.size())) << offset;
  }
}

struct Case {
  const char* name;
  std::string bytes;
};

// The same content in every way that it can be packed.
std::vector<Case> pack_in_every_way(const std::string& content) {
  const std::string_view all = content;
  const size_t half = content.size() / 2;
  std::string frames;
  for (size_t at = 0; at < content.size(); at += 400'000)
    frames += zstd_frame(all.substr(at, 400'000), at % 800'000 == 0) + zstd_frame("") +
              test::zstd_skippable("nothing to see");
  return {
      {"stored", content},
      {"one frame", zstd_frame(content)},
      {"one frame without length", zstd_frame(content, false)},
      {"frames", frames},
      {"frames behind a skippable one", test::zstd_skippable("pzstd") + frames},
      {"padded", frames + std::string(5000, '\0')},
      {"seekable", test::zstd_seekable(content, 65'536)},
      {"gzip", test::gzip_member(content)},
      {"gzip members", test::gzip_member(all.substr(0, half)) + test::gzip_member("") +
                           test::gzip_member(all.substr(half)) + std::string(1000, '\0')},
  };
}

TEST_F(PackedImages, AnyRangeOfEveryFormatReadsItsBytes) {
  const std::string content = test::compressible_text(3'000'001);
  for (const auto& [name, bytes] : pack_in_every_way(content)) {
    SCOPED_TRACE(name);
    const auto image = open(bytes);
    ASSERT_TRUE(image) << image.error().what;
    expect_content(**image, content);
  }
}

// A disk that completes late and out of order, is larger than what lies on it, and has large
// blocks.
TEST_F(PackedImages, AnyDiskCanHoldOne) {
  const std::string content = test::compressible_text(3'000'064);  // whole sectors, if stored
  for (const uint32_t block_bytes : {512U, 4096U}) {
    for (const auto& [name, bytes] : pack_in_every_way(content)) {
      SCOPED_TRACE(name);
      const bool is_stored = bytes == content;  // has no end of its own
      const auto image = PackedImage::open(std::make_unique<test::TestDisk>(
          is_stored ? bytes : bytes + std::string(100'000, '\0'), block_bytes));
      ASSERT_TRUE(image) << image.error().what;
      std::string expected = content;
      if (is_stored) expected.resize(round_up(expected.size(), block_bytes), '\0');
      expect_content(**image, expected);
    }
  }
}

TEST_F(PackedImages, PaddingOfALargeDiskIsNotReadThrough) {
  const std::string packed = test::gzip_member("hello");
  auto disk = std::make_unique<test::TestDisk>(packed + std::string(50 << 20, '\0'));
  const test::TestDisk& below = *disk;
  const auto image = PackedImage::open(std::move(disk));
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->map().unpacked_bytes, 5U);
  EXPECT_LE(below.counts().bytes, 2U << 20);
}

TEST_F(PackedImages, ADiskThatFailsBelowIsAnErrorOfTheReadsThatMeetIt) {
  const std::string content = test::compressible_text(3'000'000);
  const std::string packed = test::zstd_seekable(content, 65'536);
  // Far enough from the end that opening does not meet it.
  const uint64_t bad = packed.size() / 2 / kSectorSize;
  const auto image = PackedImage::open(
      std::make_unique<test::TestDisk>(packed, 512, test::TestDisk::Faults{.failing_sector = bad}));
  ASSERT_TRUE(image) << image.error().what;
  const auto lane = must((*image)->open_queue({}));
  TestBuffer buffer(4096);
  TestRequest request;
  const auto read_at = [&](uint64_t offset) {
    return run_one(*lane, request.data(Operation::kRead, Sectors::from_bytes(offset / 512 * 512),
                                       buffer.bytes()));
  };
  EXPECT_EQ(read_at(content.size() / 2), IoStatus::kIoError);
  EXPECT_EQ(read_at(0), IoStatus::kOk) << "and the lane goes on";
  EXPECT_EQ(read_at(content.size() / 2), IoStatus::kIoError);
  EXPECT_EQ(read_at(content.size() - 8192), IoStatus::kOk);
}

// One poll() of a lane is what its thread can do nothing else in.
TEST_F(PackedImages, OnePollNeverDecompressesMoreThanItsShare) {
  const std::string content = test::compressible_text(8'000'000);
  const auto image = PackedImage::open(std::make_unique<test::TestDisk>(zstd_frame(content)));
  ASSERT_TRUE(image);
  const auto lane = must((*image)->open_queue({}));
  TestBuffer buffer(4096);
  TestRequest far;
  lane->submit(far.data(Operation::kRead, Sectors::from_bytes(7'999'488 - 4096), buffer.bytes()));
  lane->kick();
  size_t polls = 0;
  while (far.completions == 0) {
    lane->poll();
    polls++;
  }
  EXPECT_EQ(far.status, IoStatus::kOk);
  EXPECT_GE(polls, content.size() / (256U << 10)) << "all of it lies before what was asked for";
}

// A lane above a disk that is asked while it waits must not be found idle, nor asleep.
TEST_F(PackedImages, ManyRequestsAtOnceAreAllAnswered) {
  const std::string content = test::compressible_text(5'000'192);
  const auto image =
      PackedImage::open(std::make_unique<test::TestDisk>(test::zstd_seekable(content, 65'536)));
  ASSERT_TRUE(image);
  const auto lane = must((*image)->open_queue({}));
  std::vector<std::string> parts(200, std::string(8192, 'x'));
  std::deque<TestRequest> requests(parts.size());
  std::mt19937 random(5);
  std::vector<uint64_t> offsets;
  for (size_t i = 0; i < parts.size(); i++) {
    offsets.push_back(random() % 600 * 8192);
    lane->submit(requests[i].data(Operation::kRead, Sectors::from_bytes(offsets[i]),
                                  std::as_writable_bytes(std::span(parts[i]))));
  }
  lane->drain();
  for (size_t i = 0; i < parts.size(); i++) {
    EXPECT_EQ(requests[i].completions, 1);
    EXPECT_TRUE(parts[i] == std::string_view(content).substr(offsets[i], 8192)) << i;
  }
}

TEST_F(PackedImages, SavedRestartPointsAreUsedWhileTheFileIsAsItWas) {
  const std::string content = test::compressible_text(5'000'000);
  for (const auto& [name, bytes] : pack_in_every_way(content)) {
    if (bytes == content) continue;
    SCOPED_TRACE(name);
    const auto fresh = open(bytes);
    ASSERT_TRUE(fresh);
    ASSERT_TRUE((*fresh)->save_map()) << (*fresh)->save_map().error().what;
    // A limit that no pass over the file would keep to shows that there was none.
    const auto again = PackedImage::open(path_, {}, {.measured_bytes = 1});
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_EQ((*again)->map().points.size(), (*fresh)->map().points.size());
    expect_content(**again, content);
    const auto saved = open_saved_packed_map(saved_packed_map_path(path_), *identify_image(path_));
    ASSERT_TRUE(saved) << saved.error().what;
    std::ofstream(path_, std::ios::binary | std::ios::app) << '\0';
    const auto changed =
        open_saved_packed_map(saved_packed_map_path(path_), *identify_image(path_));
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().code, Errc::kConflict);
    const auto padded = PackedImage::open(path_);
    ASSERT_TRUE(padded);
    expect_content(**padded, content);
  }
}

TEST_F(PackedImages, RestartPointsOfAnImageThatChangedMeanwhileAreNotSaved) {
  const auto image = open(test::gzip_member("hello"));
  ASSERT_TRUE(image);
  std::ofstream(path_, std::ios::binary | std::ios::app) << test::gzip_member("world");
  const auto saved = (*image)->save_map();
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Errc::kConflict);
  EXPECT_FALSE(stdfs::exists(saved_packed_map_path(path_)));
  const auto stored = open("nothing that is compressed");
  EXPECT_EQ((*stored)->save_map().error().code, Errc::kUnsupported);
}

TEST_F(PackedImages, DamagedRestartPointsAreAsGoodAsNone) {
  const std::string content = test::compressible_text(3'000'000);
  const auto image = open(test::gzip_member(content));
  ASSERT_TRUE(image && (*image)->save_map());
  const std::string points = saved_packed_map_path(path_);
  std::ifstream in(points, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  const ImageIdentity identity = *identify_image(path_);
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto refused = [&](const std::string& bytes) {
    stdfs::remove(points);
    std::ofstream(points, std::ios::binary) << bytes;
    return !open_saved_packed_map(points, identity);
  };
  for (size_t i = 0; i < 300; i++) {
    std::string bad = good;
    const size_t place = i < 200 ? i : random() % bad.size();
    bad[place] = static_cast<char>(bad[place] ^ (1 << random() % 8));
    EXPECT_TRUE(refused(bad)) << place;
  }
  for (const size_t bytes : {size_t{0}, size_t{50}, good.size() - 1, good.size() + 1}) {
    std::string cut = good;
    cut.resize(bytes);
    EXPECT_TRUE(refused(cut)) << bytes;
  }
  expect_content(**PackedImage::open(path_), content);
  EXPECT_FALSE(refused(good));
  ASSERT_EQ(::chmod(points.c_str(), 0666), 0);
  EXPECT_EQ(open_saved_packed_map(points, identity).error().code, Errc::kPermission);
}

// Ours and well-formed, but it says what cannot be.
TEST_F(PackedImages, RestartPointsThatCannotBeAreRefused) {
  std::ofstream(path_, std::ios::binary) << std::string(1000, 'x');
  const ImageIdentity identity = *identify_settled_image(path_);
  const std::string points = saved_packed_map_path(path_);
  const auto is_refused = [&](std::vector<PackedPoint> said) {
    PackedMap map;
    map.format = PackedFormat::kGzip;
    map.packed_bytes = 1000;
    map.unpacked_bytes = 5000;
    map.points = std::move(said);
    EXPECT_TRUE(save_packed_map(points, identity, map));
    return !open_saved_packed_map(points, identity);
  };
  EXPECT_FALSE(is_refused({{}, {.unpacked = 10, .packed = 10}}));
  EXPECT_TRUE(is_refused({}));
  EXPECT_TRUE(is_refused({{.unpacked = 1}}));
  EXPECT_TRUE(is_refused({{}, {.unpacked = 0, .packed = 10}}));
  EXPECT_TRUE(is_refused({{}, {.unpacked = 10, .packed = 10}, {.unpacked = 11, .packed = 9}}));
  EXPECT_TRUE(is_refused({{}, {.unpacked = 5001, .packed = 10}}));
  EXPECT_TRUE(is_refused({{}, {.unpacked = 10, .packed = 1000}}));
  EXPECT_TRUE(is_refused({{}, {.unpacked = 10, .packed = 10, .bits = 8}}));
  EXPECT_TRUE(is_refused({{.bits = 1}}));
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

TEST_F(PackedImages, AreNamedUponAFileOrAnyDisk) {
  DiskSchemes schemes = DiskSchemes::images();
  add_packed_schemes(schemes);
  std::string packed = zstd_frame("hello");
  packed.resize(512, '\0');
  std::ofstream(path_, std::ios::binary) << packed;
  for (const char* form : {"archive:", "zst:", "archive:raw:", "zst:raw:"})
    EXPECT_TRUE(schemes.open(form + path_, {.read_only = true})) << form;
  EXPECT_TRUE(schemes.open("zst:raw:" + path_ + "?direct=off&block=512", {.read_only = true}));
  EXPECT_FALSE(schemes.open("zst:raw:" + path_ + "?nonsense=1", {.read_only = true}));
  EXPECT_FALSE(schemes.open("zst:" + path_ + "?direct=off", {.read_only = true}));
  EXPECT_FALSE(schemes.open("gz:" + path_, {.read_only = true})) << "another format";
  EXPECT_FALSE(schemes.open("gz:raw:" + path_, {.read_only = true})) << "another format";
  EXPECT_TRUE(schemes.open("archive:mem:64K", {.read_only = true}));
  const auto writable = schemes.open("zst:" + path_, {});
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().code, Errc::kPermission);
  EXPECT_FALSE(schemes.open("archive:" + directory_, {.read_only = true}));
  EXPECT_FALSE(schemes.open("archive:" + path_ + ".not", {.read_only = true}));
}

TEST(DiskBelowPacking, IsWhatComesAndGoes) {
  const auto below = [](std::string_view uri) {
    const auto disk = disk_below_packing(uri);
    return disk ? disk->scheme + " " + disk->target : "error";
  };
  EXPECT_EQ(below("raw:/a?mode=r"), "raw /a");
  EXPECT_EQ(below("vbd:xvda"), "vbd xvda");
  EXPECT_EQ(below("gz:a.tar.gz"), "raw a.tar.gz");
  EXPECT_EQ(below("archive:raw:a?block=512"), "raw a");
  EXPECT_EQ(below("zst:vbd:xvda?lanes=2"), "vbd xvda");
  EXPECT_EQ(below("zst:./vbd:xvda"), "raw ./vbd:xvda");
  EXPECT_EQ(below("zst:vbd"), "raw vbd");
  EXPECT_EQ(below("zst:raw:"), "error");
  EXPECT_EQ(below("x"), "error");
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
