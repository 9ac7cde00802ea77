// A volume that several threads use at once, each with a lane of its own.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "blkimage/memory_disk.h"
#include "fs/fat/fat_check.h"
#include "fs/fat/fat_format.h"
#include "fs/fat/fat_volume.h"

namespace splitring {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 60;

// Counts what fails, instead of asserting: this is no thread of the test's.
class Worker {
 public:
  Worker(BlockDevice& disk, FatVolume& volume, int number)
      : disk_(disk), volume_(volume), number_(number) {}

  void run() {
    lane_ = std::move(*disk_.open_queue({}));
    const auto directory =
        volume_.make_directory(*lane_, kFatRoot, "thread " + std::to_string(number_));
    if (!directory) return fail();
    for (int i = 0; i < kRounds; i++) round(directory->node, i);
    volume_.forget(directory->node);
    lane_.reset();
  }
  int failures = 0;

 private:
  void fail() { failures++; }
  void check(bool good) {
    if (!good) fail();
  }

  void round(FatNode directory, int i) {
    const std::string name = "a file of number " + std::to_string(i);
    const std::string bytes(static_cast<size_t>(3000 + i * 37), static_cast<char>('a' + number_));
    const auto file = volume_.create(*lane_, directory, name);
    if (!file) return fail();
    check(volume_.open_file(*lane_, file->node).has_value());
    check(volume_.write(*lane_, file->node, 0, std::as_bytes(std::span(bytes))).has_value());
    std::string back(bytes.size(), '\0');
    const auto got = volume_.read(*lane_, file->node, 0, std::as_writable_bytes(std::span(back)));
    check(got && *got == bytes.size() && back == bytes);
    check(volume_.close_file(*lane_, file->node).has_value());
    volume_.forget(file->node);
    // All threads write to one file and rename into one directory.
    const auto shared = volume_.resolve(*lane_, "shared");
    if (!shared) return fail();
    check(volume_.open_file(*lane_, shared->node).has_value());
    check(
        volume_.append(*lane_, shared->node, std::as_bytes(std::span("12345678", 8))).has_value());
    check(volume_.close_file(*lane_, shared->node).has_value());
    volume_.forget(shared->node);
    if (i % 3 == 0)
      check(volume_.rename(*lane_, directory, name, kFatRoot, name + std::to_string(number_))
                .has_value());
    if (i % 3 == 1) check(volume_.remove_file(*lane_, directory, name).has_value());
    if (i % 10 == 0) check(volume_.sync(*lane_).has_value());
  }

  BlockDevice& disk_;
  FatVolume& volume_;
  const int number_;
  std::unique_ptr<BlockQueue> lane_;
};

TEST(FatThreads, ThreadsShareAVolumeEachWithALaneOfItsOwn) {
  const auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(32 << 20)));
  const auto lane = std::move(*disk->open_queue({}));
  ASSERT_TRUE(format_fat(*lane));
  const auto volume = std::move(*FatVolume::open(*lane));
  const auto shared = volume->create(*lane, kFatRoot, "shared");
  ASSERT_TRUE(shared);
  std::vector<Worker> workers;
  for (int i = 0; i < kThreads; i++) workers.emplace_back(*disk, *volume, i);
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (Worker& worker : workers) threads.emplace_back([&worker] { worker.run(); });
  for (std::thread& thread : threads) thread.join();
  for (const Worker& worker : workers) EXPECT_EQ(worker.failures, 0);
  EXPECT_EQ(volume->stat(*lane, shared->node)->size, 8U * kThreads * kRounds);
  ASSERT_TRUE(volume->close(*lane));
  const auto report = check_fat(*lane, FatRepair::kNothing);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->findings.size(), 0U);
  EXPECT_EQ(report->files, 1U + kThreads * kRounds * 2 / 3);
}

// One of them puts the volume in order, which was not unmounted.
TEST(FatThreads, RecoveryInTheBackgroundIsInNobodysWay) {
  const auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(32 << 20)));
  const auto lane = std::move(*disk->open_queue({}));
  ASSERT_TRUE(format_fat(*lane));
  {
    const auto before = std::move(*FatVolume::open(*lane));
    ASSERT_TRUE(before->create(*lane, kFatRoot, "shared"));
    for (int i = 0; i < 100; i++)
      ASSERT_TRUE(before->make_directory(*lane, kFatRoot, "directory " + std::to_string(i)));
    ASSERT_TRUE(before->sync(*lane));
  }
  const auto volume = std::move(*FatVolume::open(*lane, {.recover_later = true}));
  std::vector<Worker> workers;
  for (int i = 0; i < kThreads; i++) workers.emplace_back(*disk, *volume, i);
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (Worker& worker : workers) threads.emplace_back([&worker] { worker.run(); });
  while (volume->recover_some(*lane).value_or(false)) continue;
  for (std::thread& thread : threads) thread.join();
  for (const Worker& worker : workers) EXPECT_EQ(worker.failures, 0);
  ASSERT_TRUE(volume->close(*lane));
  const auto report = check_fat(*lane, FatRepair::kNothing);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->findings.size(), 0U);
  EXPECT_EQ(report->files, 1U + kThreads * kRounds * 2 / 3);
}

TEST(FatThreads, AnOpenFileOutlivesItsNameAndItsRename) {
  const auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(4 << 20)));
  const auto lane = std::move(*disk->open_queue({}));
  ASSERT_TRUE(format_fat(*lane));
  const auto volume = std::move(*FatVolume::open(*lane));
  const uint64_t free_before = volume->space().free_clusters;
  const FatNode file = volume->create(*lane, kFatRoot, "old")->node;
  ASSERT_TRUE(volume->open_file(*lane, file));
  ASSERT_TRUE(volume->rename(*lane, kFatRoot, "old", kFatRoot, "a new and longer name"));
  const std::string bytes(5000, 'x');
  ASSERT_TRUE(volume->write(*lane, file, 0, std::as_bytes(std::span(bytes))));
  ASSERT_TRUE(volume->remove_file(*lane, kFatRoot, "a new and longer name"));
  EXPECT_FALSE(volume->lookup(*lane, kFatRoot, "a new and longer name"));
  // Its place may be taken meanwhile.
  const FatNode other = volume->create(*lane, kFatRoot, "another name, as long")->node;
  EXPECT_NE(other, file);
  std::string back(bytes.size(), '\0');
  EXPECT_EQ(volume->read(*lane, file, 0, std::as_writable_bytes(std::span(back))).value_or(0),
            5000U);
  EXPECT_EQ(back, bytes);
  ASSERT_TRUE(volume->close_file(*lane, file));
  volume->forget(file);
  EXPECT_FALSE(volume->stat(*lane, file));
  ASSERT_TRUE(volume->sync(*lane));
  EXPECT_EQ(volume->space().free_clusters, free_before);
}

TEST(FatThreads, ClosingTheVolumeGivesBackWhatOpenFilesHold) {
  const auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(4 << 20)));
  const auto lane = std::move(*disk->open_queue({}));
  ASSERT_TRUE(format_fat(*lane));
  const auto volume = std::move(*FatVolume::open(*lane));
  const FatNode file = volume->create(*lane, kFatRoot, "file")->node;
  ASSERT_TRUE(volume->open_file(*lane, file));
  ASSERT_TRUE(volume->preallocate(*lane, file, 100'000));
  EXPECT_EQ(volume->stat(*lane, file)->size, 0U);
  EXPECT_GE(volume->stat(*lane, file)->allocated_bytes, 100'000U);
  ASSERT_TRUE(volume->write(*lane, file, 0, std::as_bytes(std::span("12345678", 8))));
  ASSERT_TRUE(volume->remove_file(*lane, kFatRoot, "file"));
  ASSERT_TRUE(volume->close(*lane));
  const auto report = check_fat(*lane, FatRepair::kNothing);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->findings.size(), 0U);
  EXPECT_EQ(report->used_clusters, 0U);
}

}  // namespace
}  // namespace splitring
