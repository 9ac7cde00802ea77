// Partitions of disks, as tables say them: MBR, logical ones, GPT; and tables that lie.
#include "blkimage/partition_table.h"

#include <gtest/gtest.h>

#include <cstring>

#include "blkimage/disk_uri.h"
#include "blkimage/memory_disk.h"

namespace splitring {
namespace {

class PartitionTable : public testing::Test {
 protected:
  void SetUp() override { lane_ = std::move(*disk_->open_queue({})); }

  void put(uint64_t sector, size_t at, std::initializer_list<uint8_t> bytes) {
    std::array<std::byte, 512> block{};
    ASSERT_TRUE(lane_->read({sector}, block));
    for (const uint8_t byte : bytes) block[at++] = std::byte{byte};
    ASSERT_TRUE(lane_->write({sector}, block));
  }
  void mark(uint64_t sector) { put(sector, 510, {0x55, 0xaa}); }
  void entry(uint64_t sector, size_t index, uint8_t type, uint8_t first, uint8_t length) {
    put(sector, 446 + 16 * index + 4, {type, 0, 0, 0, first, 0, 0, 0, length, 0, 0, 0});
  }
  std::vector<std::pair<uint32_t, uint64_t>> found() {
    const auto partitions = read_partitions(*lane_);
    std::vector<std::pair<uint32_t, uint64_t>> out;
    if (partitions)
      for (const Partition& partition : *partitions)
        out.emplace_back(partition.number, partition.first.count);
    return out;
  }

  std::unique_ptr<BlockDevice> disk_ = std::move(*MemoryDisk::create(Sectors{256}));
  std::unique_ptr<BlockQueue> lane_;
};

using Found = std::vector<std::pair<uint32_t, uint64_t>>;

TEST_F(PartitionTable, ReadsPrimaryAndLogicalPartitions) {
  mark(0);
  entry(0, 0, 0x0c, 8, 10);
  entry(0, 2, 0x05, 40, 100);
  mark(40);
  entry(40, 0, 0x06, 2, 8);
  entry(40, 1, 0x05, 20, 20);
  mark(60);
  entry(60, 0, 0x06, 2, 8);
  EXPECT_EQ(found(), (Found{{1, 8}, {5, 42}, {6, 62}}));
}

TEST_F(PartitionTable, EndsWhereLogicalPartitionsGoRound) {
  mark(0);
  entry(0, 0, 0x05, 40, 100);
  mark(40);
  entry(40, 0, 0x06, 2, 8);
  entry(40, 1, 0x05, 20, 20);
  mark(60);
  entry(60, 1, 0x05, 20, 20);
  EXPECT_FALSE(read_partitions(*lane_));
}

TEST_F(PartitionTable, LeavesOutWhatDoesNotLieOnTheDisk) {
  mark(0);
  entry(0, 0, 0x0c, 200, 100);
  entry(0, 1, 0x0c, 250, 6);
  entry(0, 3, 0x0c, 10, 0);
  EXPECT_EQ(found(), (Found{{2, 250}}));
}

TEST_F(PartitionTable, ReadsGpt) {
  mark(0);
  entry(0, 0, 0xee, 1, 255);
  put(1, 0, {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'});
  put(1, 72, {2, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 128, 0, 0, 0});
  put(2, 128, {1});
  put(2, 128 + 32, {34, 0, 0, 0, 0, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 0});
  put(3, 0, {1});
  put(3, 32, {50, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(found(), (Found{{2, 34}}));
  const auto part = open_partition(std::move(*MemoryDisk::create(Sectors{8})), 1);
  EXPECT_FALSE(part);
}

TEST_F(PartitionTable, RefusesAGptThatIsNone) {
  mark(0);
  entry(0, 0, 0xee, 1, 255);
  EXPECT_FALSE(read_partitions(*lane_));
  put(1, 0, {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'});
  put(1, 72, {2, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_FALSE(read_partitions(*lane_));
  put(1, 72, {2, 0, 0, 0, 0, 0, 0, 255, 128, 0, 0, 0, 128, 0, 0, 0});
  EXPECT_FALSE(read_partitions(*lane_));
}

TEST_F(PartitionTable, IsPartOfADisksName) {
  EXPECT_EQ(parse_disk_uri("raw:/srv/a.img#12?mode=r")->partition, 12U);
  EXPECT_EQ(parse_disk_uri("raw:/srv/a.img#12?mode=r")->target, "/srv/a.img");
  EXPECT_EQ(parse_disk_uri("raw:/srv/a#b")->target, "/srv/a#b");
  EXPECT_FALSE(parse_disk_uri("raw:/srv/a.img#0"));
  EXPECT_FALSE(parse_disk_uri("raw:/srv/a.img#129"));
  EXPECT_EQ(DiskSchemes::images().open("mem:1M#1", {}).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace splitring
