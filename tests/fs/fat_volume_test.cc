// A FAT volume as its users see it: names, bytes, renames, space; fsck.fat judges what is left.
#include <gtest/gtest.h>

#include <random>

#include "blkimage/fault_device.h"
#include "blkimage/memory_disk.h"
#include "tests/support/fs/fat_test_volume.h"
#include "tests/support/must.h"

namespace splitring {
namespace {

using test::FatTestVolume;

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::string pattern(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

struct Kind {
  const char* name;
  uint64_t bytes;
  FatFormat format;
  uint32_t block_bytes;
  FatType type;
};

class FatVolumeOfEveryType : public testing::TestWithParam<Kind> {
 protected:
  FatTestVolume disk_{GetParam().bytes, GetParam().format, GetParam().block_bytes};
};

TEST_P(FatVolumeOfEveryType, KeepsWhatItIsGivenAcrossMounts) {
  EXPECT_EQ(disk_.volume().info().type, GetParam().type);
  const std::string large = pattern(300'000, 1);
  disk_.must_put("small.txt", "hello");
  disk_.must_put("A rather long name of a file.text", large);
  ASSERT_TRUE(disk_.mkdir("folder"));
  ASSERT_TRUE(disk_.mkdir("folder/deeper"));
  disk_.must_put("folder/deeper/\xe2\x82\xac \xf0\x9f\x90\xaa", "unicode");
  disk_.must_put("folder/empty", "");
  disk_.close();
  EXPECT_EQ(disk_.fsck(), "");
  disk_.mount();
  EXPECT_EQ(disk_.tree(),
            (std::vector<std::string>{
                "A rather long name of a file.text", "folder/", "folder/deeper/",
                "folder/deeper/\xe2\x82\xac \xf0\x9f\x90\xaa", "folder/empty", "small.txt"}));
  EXPECT_EQ(disk_.get("SMALL.TXT"), "hello");
  EXPECT_EQ(disk_.get("A rather long name of a file.text"), large);
  EXPECT_EQ(disk_.get("folder/deeper/\xe2\x82\xac \xf0\x9f\x90\xaa"), "unicode");
  EXPECT_EQ(disk_.get("folder/empty"), "");
}

TEST_P(FatVolumeOfEveryType, GivesBackEveryClusterOfWhatIsRemoved) {
  const uint64_t free_before = disk_.volume().space().free_clusters;
  for (int round = 0; round < 3; round++) {
    ASSERT_TRUE(disk_.mkdir("d"));
    for (int i = 0; i < 40; i++)
      disk_.must_put("d/a long name, number " + std::to_string(i), pattern(2000, 7));
    for (int i = 0; i < 40; i++)
      ASSERT_TRUE(disk_.remove("d/a long name, number " + std::to_string(i)));
    EXPECT_TRUE(disk_.rmdir("d"));
  }
  EXPECT_EQ(disk_.volume().space().free_clusters, free_before);
  disk_.close();
  EXPECT_EQ(disk_.fsck(), "");
  disk_.mount();
  EXPECT_EQ(disk_.volume().space().free_clusters, free_before);
}

TEST_P(FatVolumeOfEveryType, RenamesWithinAndAcrossDirectoriesAndOverWhatIsThere) {
  ASSERT_TRUE(disk_.mkdir("one"));
  ASSERT_TRUE(disk_.mkdir("two"));
  disk_.must_put("one/file", "content");
  ASSERT_TRUE(disk_.rename("one/file", "one/FILE"));
  EXPECT_EQ(disk_.names("one"), std::vector<std::string>{"FILE"});
  ASSERT_TRUE(disk_.rename("one/FILE", "two/a much longer name than before"));
  EXPECT_EQ(disk_.names("one"), std::vector<std::string>{});
  EXPECT_EQ(disk_.get("two/a much longer name than before"), "content");
  disk_.must_put("one/target", pattern(5000, 3));
  ASSERT_TRUE(disk_.rename("two/a much longer name than before", "one/target"));
  EXPECT_EQ(disk_.get("one/target"), "content");
  ASSERT_TRUE(disk_.mkdir("one/sub"));
  disk_.must_put("one/sub/x", "x");
  ASSERT_TRUE(disk_.rename("one/sub", "two/moved"));
  EXPECT_EQ(disk_.get("two/moved/x"), "x");
  EXPECT_EQ(disk_.rename("two", "two/moved/inside").error().code, Errc::kInvalid);
  EXPECT_EQ(disk_.rename("one/target", "two/moved").error().code, Errc::kExists);
  disk_.close();
  EXPECT_EQ(disk_.fsck(), "");
}

TEST_P(FatVolumeOfEveryType, IsFullWithoutLosingAnything) {
  const std::string piece = pattern(64 << 10, 5);
  ASSERT_TRUE(disk_.mkdir("d"));
  int written = 0;
  Result<> last;
  while ((last = disk_.put("d/file " + std::to_string(written), piece))) written++;
  EXPECT_EQ(last.error().code, Errc::kNoSpace);
  EXPECT_GT(written * piece.size(), GetParam().bytes / 10 * 8);
  ASSERT_TRUE(disk_.remove("d/file " + std::to_string(written)));
  disk_.must_put("d/file 0", "shorter");
  disk_.must_put("another", piece.substr(0, piece.size() / 2));
  disk_.close();
  EXPECT_EQ(disk_.fsck(), "");
  disk_.mount();
  for (int i = 1; i < written; i += 7) EXPECT_EQ(disk_.get("d/file " + std::to_string(i)), piece);
}

INSTANTIATE_TEST_SUITE_P(
    Fat, FatVolumeOfEveryType,
    testing::Values(
        Kind{"Floppy", 1440 << 10, {}, 512, FatType::kFat12},
        Kind{"Fat12", 3 * kMiB, {}, 512, FatType::kFat12},
        Kind{"Fat16", 16 * kMiB, {}, 512, FatType::kFat16},
        Kind{"Fat16Blocks4096", 64 * kMiB, {.sector_bytes = 4096}, 4096, FatType::kFat16},
        Kind{"Fat32", 40 * kMiB, {.type = FatType::kFat32}, 512, FatType::kFat32},
        Kind{"Exfat", 3 * kMiB, {.type = FatType::kExfat}, 512, FatType::kExfat},
        Kind{"ExfatSmallClusters",
             2 * kMiB,
             {.type = FatType::kExfat, .cluster_bytes = 512},
             512,
             FatType::kExfat},
        Kind{"ExfatBlocks4096", 64 * kMiB, {.type = FatType::kExfat}, 4096, FatType::kExfat}),
    [](const auto& param) { return param.param.name; });

// Writes a file, then fails every write or flush from the `let_pass`-th on. True: the first sync
// met that.
bool fails_for_good(const FatFormat& format, Operation operation, uint64_t let_pass) {
  auto memory = std::move(*MemoryDisk::create(Sectors::from_bytes(4 << 20)));
  EXPECT_TRUE(format_fat(**memory->open_queue({}), format));
  FaultDevice disk(std::move(memory), 1);
  const auto lane = std::move(*disk.open_queue({}));
  const auto volume = std::move(*FatVolume::open(*lane, {}));
  const std::vector<std::byte> bytes(3000, std::byte{1});
  const auto make = [&](const char* name) {
    const FatNode node = volume->create(*lane, kFatRoot, name)->node;
    EXPECT_TRUE(volume->open_file(*lane, node));
    EXPECT_TRUE(volume->write(*lane, node, 0, bytes));
    return node;
  };
  const FatNode safe = make("safe");
  EXPECT_TRUE(volume->sync_file(*lane, safe));
  const FatNode late = make("late");
  disk.add_rule({.operation = operation, .let_pass = let_pass});
  if (volume->sync_file(*lane, late)) return false;
  disk.clear_rules();
  EXPECT_FALSE(volume->sync_file(*lane, late));
  EXPECT_FALSE(volume->sync(*lane));
  EXPECT_FALSE(volume->write(*lane, late, 0, bytes));
  EXPECT_FALSE(volume->create(*lane, kFatRoot, "more"));
  std::vector<std::byte> read(3000);
  EXPECT_TRUE(volume->read(*lane, safe, 0, read));
  EXPECT_EQ(read, bytes);
  const auto closed = volume->close(*lane);
  EXPECT_FALSE(closed);
  EXPECT_NE(closed.error().what.find("an earlier write failed"), std::string::npos);
  return true;
}

TEST(FatVolume, AFailedWriteOrFlushIsToldByEverySyncFromThenOn) {
  for (const FatFormat& format : {FatFormat{}, FatFormat{.type = FatType::kExfat}})
    for (const Operation operation : {Operation::kWrite, Operation::kFlush}) {
      uint64_t let_pass = 0;
      while (fails_for_good(format, operation, let_pass)) let_pass++;
      EXPECT_GE(let_pass, 2) << to_string(operation);
    }
}

// Bytes of one file are in the way of another's write, or of a read: who meets the failure is not
// who wrote them.
TEST(FatVolume, WhatSomebodyElseCouldNotWriteIsWrittenBySync) {
  for (const bool by_write : {true, false}) {
    auto memory = must(MemoryDisk::create(Sectors::from_bytes(16 * kMiB)));
    ASSERT_TRUE(format_fat(*must(memory->open_queue({})), FatFormat{}));
    FaultDevice disk(std::move(memory), 1);
    const auto lane = must(disk.open_queue({}));
    const auto volume = must(FatVolume::open(*lane, {}));
    std::array<FatNode, 2> files;
    for (size_t i = 0; i < files.size(); i++) {
      files[i] = must(volume->create(*lane, kFatRoot, i == 0 ? "a" : "b")).node;
      ASSERT_TRUE(volume->open_file(*lane, files[i]));
    }
    const std::string far = pattern(200'000, 1), bytes = pattern(3000, 2);
    ASSERT_TRUE(volume->write(*lane, files[1], 0, std::as_bytes(std::span(far))));
    ASSERT_TRUE(volume->sync(*lane));
    ASSERT_TRUE(volume->write(*lane, files[0], 0, std::as_bytes(std::span(bytes))));
    disk.add_rule({.operation = Operation::kWrite, .times = 1, .status = IoStatus::kNoSpace});
    std::string got(bytes.size(), '\0');
    if (by_write)
      EXPECT_FALSE(volume->write(*lane, files[1], 0, std::as_bytes(std::span(bytes))));
    else
      EXPECT_FALSE(volume->read(*lane, files[0], 0, std::as_writable_bytes(std::span(got))));
    ASSERT_TRUE(volume->sync_file(*lane, files[0]));
    ASSERT_TRUE(volume->read(*lane, files[0], 0, std::as_writable_bytes(std::span(got))));
    EXPECT_EQ(got, bytes);
    for (const FatNode file : files) ASSERT_TRUE(volume->close_file(*lane, file));
    ASSERT_TRUE(volume->close(*lane));
  }
}

TEST(FatVolume, TheDiskIsToldOfFreedClustersOnceTheyAreFree) {
  for (const bool discard : {false, true}) {
    test::FatTestVolume volume(20 << 20, {.cluster_bytes = 4096});
    volume.mount({.utc = true, .discard = discard});
    volume.must_put("file", std::string(100'000, '#'));
    volume.must_put("other", std::string(100'000, '*'));
    ASSERT_TRUE(volume.volume().sync(volume.lane()));
    ASSERT_TRUE(volume.remove("file"));
    const auto holds = [&](char byte) {
      return volume.image().find(std::string(3000, byte)) != std::string::npos;
    };
    EXPECT_TRUE(holds('#'));
    ASSERT_TRUE(volume.volume().sync(volume.lane()));
    EXPECT_EQ(holds('#'), !discard);
    EXPECT_TRUE(holds('*'));
    volume.close();
    EXPECT_EQ(volume.fsck(), "");
  }
}

TEST(FatVolume, ReadsAndWritesAtAnyOffset) {
  FatTestVolume disk(8 * kMiB);
  disk.must_put("f", "");
  const FatNode file = disk.node("f");
  ASSERT_TRUE(disk.volume().open_file(disk.lane(), file));
  std::string model;
  std::mt19937 random(11);
  for (int i = 0; i < 600; i++) {
    const uint64_t offset = random() % 200'000;
    if (random() % 8 == 0) {
      ASSERT_TRUE(disk.volume().truncate(disk.lane(), file, offset));
      model.resize(offset, '\0');
      continue;
    }
    const std::string bytes = pattern(random() % 9000, static_cast<uint32_t>(i));
    ASSERT_TRUE(disk.volume().write(disk.lane(), file, offset, std::as_bytes(std::span(bytes))));
    if (bytes.empty()) continue;
    if (model.size() < offset + bytes.size()) model.resize(offset + bytes.size(), '\0');
    model.replace(offset, bytes.size(), bytes);
    std::string out(random() % 20'000, '\0');
    const uint64_t from = random() % 220'000;
    const auto got =
        disk.volume().read(disk.lane(), file, from, std::as_writable_bytes(std::span(out)));
    ASSERT_TRUE(got);
    out.resize(*got);
    ASSERT_EQ(out, from >= model.size() ? "" : model.substr(from, out.size())) << i;
  }
  EXPECT_EQ(disk.get("f"), model);
  ASSERT_TRUE(disk.volume().close_file(disk.lane(), file));
  disk.close();
  EXPECT_EQ(disk.fsck(), "");
  disk.mount();
  EXPECT_EQ(disk.get("f"), model);
}

// Files of one cluster each lie side by side, and small writes to them are joined.
TEST(FatVolume, WritesToNeighboursLeaveEachOtherAlone) {
  for (const uint32_t block_bytes : {512U, 4096U}) {
    FatTestVolume disk(20 * kMiB, {.cluster_bytes = 4096, .sector_bytes = block_bytes},
                       block_bytes);
    std::vector<std::string> model;
    std::vector<FatNode> nodes;
    for (uint32_t i = 0; i < 12; i++) {
      model.push_back(pattern(4096, i));
      disk.must_put("N" + std::to_string(i), model.back());
      nodes.push_back(disk.node("N" + std::to_string(i)));
      ASSERT_TRUE(disk.volume().open_file(disk.lane(), nodes.back()));
    }
    std::mt19937 random(5);
    for (uint32_t i = 0; i < 3000; i++) {
      const size_t file = random() % nodes.size();
      const size_t offset = random() % 3000;
      if (random() % 3 == 0) {
        ASSERT_TRUE(disk.volume().truncate(disk.lane(), nodes[file], offset));
        model[file].resize(offset);
        continue;
      }
      const std::string bytes = pattern(1 + random() % 900, i);
      ASSERT_TRUE(
          disk.volume().write(disk.lane(), nodes[file], offset, std::as_bytes(std::span(bytes))));
      if (model[file].size() < offset + bytes.size()) model[file].resize(offset + bytes.size());
      model[file].replace(offset, bytes.size(), bytes);
      if (i % 100 != 0) continue;
      for (size_t n = 0; n < nodes.size(); n++)
        ASSERT_EQ(disk.get("N" + std::to_string(n)), model[n]) << i;
    }
    for (const FatNode node : nodes) ASSERT_TRUE(disk.volume().close_file(disk.lane(), node));
    disk.close();
    EXPECT_EQ(disk.fsck(), "");
  }
}

}  // namespace
}  // namespace splitring
