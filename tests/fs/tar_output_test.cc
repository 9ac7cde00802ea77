// What TarOutput leaves on a disk, at the end and after a power cut at any moment.
#include "fs/tar/tar_output.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "blkimage/power_cut_disk.h"
#include "fs/tar/tar_encode.h"
#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;  // path, content

std::vector<std::byte> disk_of(const std::string& bytes, size_t size) {
  std::vector<std::byte> disk(size);
  std::memcpy(disk.data(), bytes.data(), bytes.size());
  return disk;
}

// Appends the files as one step. Fails the test if that fails.
void append(BlockQueue& lane, uint64_t begin, const Files& files) {
  TarOutput output(lane, begin);
  ASSERT_TRUE(output.start());
  for (const auto& [path, content] : files) {
    const TarMember member{.path = path, .size = content.size(), .mtime_s = 5, .mode = 0644};
    ASSERT_TRUE(output.put(*encode_tar_headers(member)));
    ASSERT_TRUE(output.put(content));
    ASSERT_TRUE(output.pad());
  }
  const auto finished = output.finish();
  ASSERT_TRUE(finished) << finished.error().what;
}

// The files of the archive on that disk; nothing if there is none.
std::optional<Files> files_on(std::span<const std::byte> image) {
  test::TestDisk disk(std::string(reinterpret_cast<const char*>(image.data()), image.size()));
  const auto lane = std::move(*disk.open_queue({}));
  const auto tar = TarFileSystem::open(*lane);
  if (!tar) return std::nullopt;
  Files files;
  (*tar)->for_each([&](const TarEntry& entry) {
    std::string text(entry.size, '\0');
    EXPECT_TRUE((*tar)->read(*lane, entry, 0, std::as_writable_bytes(std::span(text))));
    files.emplace_back(entry.path, text);
  });
  return files;
}

const Files kOld = {{"a", "first"}, {"dir/b", std::string(3000, 'b')}};
// A short one; one whose name needs an extended header; one without a body; a large one.
const Files kNew = {{"c", "third"},
                    {std::string(120, 'd') + "/" + std::string(150, 'e'), "long name"},
                    {"empty", ""},
                    {"large", std::string(700'000, 'l')}};

Files joined(Files files, const Files& more) {
  files.insert(files.end(), more.begin(), more.end());
  return files;
}

// Calls `check` with what may be on the disk after a cut, for every moment.
template <class Check>
void for_each_cut(const PowerCutDisk& disk, Check&& check) {
  for (size_t moment = 0; moment <= disk.events(); moment++) {
    SCOPED_TRACE("cut at " + std::to_string(moment));
    check(disk.image_keeping_all(moment));
    check(disk.image_keeping(moment, {}));
    const std::vector<size_t> risk = disk.at_risk(moment);
    for (const size_t alone : risk) check(disk.image_keeping(moment, std::span(&alone, 1)));
    for (uint64_t seed = 0; seed < 4; seed++) check(disk.image_torn(moment, seed));
  }
}

class TarPowerCut : public testing::TestWithParam<uint32_t> {};

TEST_P(TarPowerCut, AfterEveryCutTheArchiveIsTheOldOneOrTheNewOne) {
  auto builder = test::TarBuilder();
  for (const auto& [path, content] : kOld) builder.member(path, content);
  const size_t end = builder.bytes().size();
  auto disk = std::move(*PowerCutDisk::create(disk_of(builder.bytes(), 1 << 20), GetParam()));
  append(**disk->open_queue({}), end, kNew);
  const Files whole = joined(kOld, kNew);
  size_t old_ones = 0;
  size_t new_ones = 0;
  for_each_cut(*disk, [&](const std::vector<std::byte>& image) {
    const auto files = files_on(image);
    ASSERT_TRUE(files);
    EXPECT_TRUE(*files == kOld || *files == whole) << files->size() << " files";
    (*files == kOld ? old_ones : new_ones)++;
  });
  EXPECT_GT(old_ones, 10U);
  EXPECT_GT(new_ones, 3U);
  EXPECT_TRUE(files_on(disk->image_keeping(disk->events(), {})) == whole) << "durable at the end";
}

TEST_P(TarPowerCut, AfterEveryCutANewArchiveIsTheOldOneOrEmptyOrWhole) {
  auto builder = test::TarBuilder();
  for (const auto& [path, content] : kOld) builder.member(path, content);
  auto disk = std::move(*PowerCutDisk::create(disk_of(builder.bytes(), 1 << 20), GetParam()));
  append(**disk->open_queue({}), 0, kNew);
  for_each_cut(*disk, [&](const std::vector<std::byte>& image) {
    const auto files = files_on(image);
    ASSERT_TRUE(files);
    EXPECT_TRUE(*files == kOld || files->empty() || *files == kNew) << files->size() << " files";
  });
  EXPECT_TRUE(files_on(disk->image_keeping(disk->events(), {})) == kNew);
}

INSTANTIATE_TEST_SUITE_P(Blocks, TarPowerCut, testing::Values(512U, 4096U),
                         [](const auto& instance) { return std::to_string(instance.param); });

TEST(TarOutput, ADiskThatIsTooSmallKeepsItsArchive) {
  const std::string old = test::TarBuilder().member("a", "first").bytes();
  auto disk = std::move(*PowerCutDisk::create(disk_of(old, 64 << 10)));
  {
    const auto lane = std::move(*disk->open_queue({}));
    TarOutput output(*lane, old.size());
    ASSERT_TRUE(output.start());
    ASSERT_TRUE(output.put(*encode_tar_headers({.path = "b", .size = 64 << 10})));
    ASSERT_TRUE(output.put(std::string(64 << 10, 'b')));
    const auto finished = output.finish();
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().code, Errc::kNoSpace);
  }
  EXPECT_EQ(files_on(disk->image_keeping_all(disk->events())), (Files{{"a", "first"}}));
}

TEST(TarOutput, AnArchiveMayFillItsDiskUpToTheTwoBlocksThatEndIt) {
  auto disk = std::move(*PowerCutDisk::create(std::vector<std::byte>(4 * 512)));
  append(**disk->open_queue({}), 0, {{"a", "full"}});
  EXPECT_EQ(files_on(disk->image_keeping(disk->events(), {})), (Files{{"a", "full"}}));
}

TEST(TarEncode, WhatItWritesReadsBackWhateverItsSize) {
  const std::string long_path = std::string(200, 'x') + "/" + std::string(180, 'y');
  const TarMember cases[] = {
      {.path = "plain", .size = 3, .mtime_s = 77, .mode = 04751, .uid = 1, .gid = 2},
      {.path = long_path, .size = 3, .mtime_s = -3, .uid = 4'000'000'000, .gid = 3'000'000'000},
      {.path = std::string(140, 'p') + "/" + std::string(99, 'n'), .size = 3},
      {.path = std::string(99, 'd') + "/" + std::string(101, 'n'), .size = 3},
      {.path = std::string(100, 'n'), .size = 3},
      {.path = "dir", .kind = TarKind::kDirectory, .mode = 01777},
      {.path = std::string(99, 'd') + "/", .kind = TarKind::kDirectory},
      {.path = std::string(100, 'd'), .kind = TarKind::kDirectory},
      {.path = "link", .kind = TarKind::kSymlink, .link = std::string(300, 't')},
      {.path = "late", .size = 3, .mtime_s = int64_t{1} << 36},
  };
  for (const TarMember& member : cases) {
    SCOPED_TRACE(member.path);
    auto archive = test::TarBuilder().raw(*encode_tar_headers(member));
    if (member.size != 0) archive.raw("abc");
    const test::OpenTar open = test::open_tar(archive.member("next", "n").bytes());
    const auto entry = open.tar->find(TarIndex::normalize(member.path));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->kind, member.kind);
    EXPECT_EQ(entry->size, member.size);
    EXPECT_EQ(entry->mtime_s, member.mtime_s);
    EXPECT_EQ(entry->mode, member.mode);
    EXPECT_EQ(entry->uid, member.uid);
    EXPECT_EQ(entry->gid, member.gid);
    EXPECT_EQ(entry->link, member.link);
    EXPECT_EQ(open.contents("next"), "n");
    EXPECT_EQ(open.tar->warning_count(), 0U);
  }
}

TEST(TarEncode, SizesBeyondOctalGoIntoAPaxRecord) {
  const std::string headers = *encode_tar_headers({.path = "huge", .size = uint64_t{1} << 40});
  EXPECT_NE(headers.find("22 size=1099511627776\n"), std::string::npos);
}

TEST(TarEncode, SparseFilesKeepTheirHoles) {
  const TarMember member{.path = "s", .size = 5000, .sparse = true, .data = {{0, 3}, {4000, 2}}};
  const test::OpenTar open = test::open_tar(
      test::TarBuilder().raw(*encode_tar_headers(member)).raw("abcde").member("next", "n").bytes());
  std::string expected(5000, '\0');
  expected.replace(0, 3, "abc").replace(4000, 2, "de");
  EXPECT_EQ(open.contents("s"), expected);
  EXPECT_EQ(open.contents("next"), "n");
}

TEST(TarEncode, RefusesWhatNoIndexTakes) {
  EXPECT_FALSE(encode_tar_headers({.path = ""}));
  EXPECT_FALSE(encode_tar_headers({.path = std::string(5000, 'x')}));
}

}  // namespace
}  // namespace splitring
