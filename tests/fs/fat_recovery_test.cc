// A volume that was not unmounted is used at once, and put in order part by part beside that.
#include <gtest/gtest.h>

#include "blkimage/fault_device.h"
#include "blkimage/memory_disk.h"
#include "fs/fat/fat_check.h"
#include "fs/fat/fat_disk.h"
#include "tests/support/fs/fat_test_volume.h"

namespace splitring {
namespace {

constexpr uint32_t kDirectories = 20;
constexpr uint32_t kLost = 50;

class FatRecovery : public testing::TestWithParam<FatFormat> {
 protected:
  FatRecovery() : volume_(std::make_unique<test::FatTestVolume>(36 << 20, GetParam())) {
    for (uint32_t i = 0; i < kDirectories; i++) {
      EXPECT_TRUE(volume_->mkdir(directory(i)));
      volume_->must_put(directory(i) + "/file", std::string(3000, static_cast<char>('a' + i)));
    }
    volume_->close();
    free_ = volume_->volume().space().free_clusters;
  }

  static std::string directory(uint32_t i) { return "directory " + std::to_string(i); }
  // As after a power cut: so many clusters belong to nothing.
  void lose(uint32_t clusters) {
    auto disk = std::move(*open_fat_disk(volume_->lane()));
    while (clusters != 0) {
      const FatRun run = disk->map().take(clusters, 0);
      ASSERT_TRUE(disk->map().link(volume_->lane(), 0, run));
      clusters -= run.count;
    }
    ASSERT_TRUE(disk->map().write(volume_->lane()));
    ASSERT_TRUE(disk->write_state(volume_->lane(), true));
  }
  void mount() { volume_->mount({.utc = true, .recover_later = true}); }
  bool recover_some() {
    const auto more = volume_->volume().recover_some(volume_->lane());
    EXPECT_TRUE(more);
    return more.value_or(false);
  }
  [[nodiscard]] uint64_t free_clusters() const { return volume_->volume().space().free_clusters; }
  void expect_clean() {
    const auto report = check_fat(volume_->lane(), FatRepair::kNothing);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->findings.size(), 0U);
    EXPECT_EQ(volume_->fsck(), "");
  }

  std::unique_ptr<test::FatTestVolume> volume_;
  uint64_t free_ = 0;
};

TEST_P(FatRecovery, AVolumeIsUsedBeforeItIsInOrderAndCleanAfterwards) {
  lose(kLost);
  mount();
  EXPECT_EQ(free_clusters(), free_ - kLost);
  EXPECT_EQ(volume_->get(directory(7) + "/file"), std::string(3000, 'h'));
  ASSERT_TRUE(volume_->rename(directory(3), directory(4) + "/moved"));
  ASSERT_TRUE(volume_->remove(directory(5) + "/file"));
  volume_->must_put(directory(5) + "/file", std::string(3000, 'F'));
  uint32_t steps = 0;
  while (recover_some()) steps++;
  EXPECT_GE(steps, kDirectories / 2);
  EXPECT_EQ(free_clusters(), free_);
  EXPECT_EQ(volume_->get(directory(4) + "/moved/file"), std::string(3000, 'd'));
  EXPECT_EQ(volume_->get(directory(5) + "/file"), std::string(3000, 'F'));
  volume_->close();
  expect_clean();
}

TEST_P(FatRecovery, OneThatNobodyChangesIsMarkedAsCleanWhenItIsOver) {
  lose(kLost);
  mount();
  while (recover_some()) continue;
  EXPECT_FALSE(recover_some());
  expect_clean();
}

TEST_P(FatRecovery, AVolumeFullOfWhatBelongsToNobodyHasRoom) {
  lose(static_cast<uint32_t>(free_) - 1);
  mount();
  ASSERT_TRUE(volume_->put("large", std::string(1 << 20, 'l')));
  EXPECT_EQ(volume_->get("large"), std::string(1 << 20, 'l'));
  while (recover_some()) continue;
  volume_->close();
  expect_clean();
}

TEST_P(FatRecovery, ClosedTooEarlyItBeginsAgainWithTheNextMount) {
  lose(kLost);
  mount();
  EXPECT_TRUE(recover_some());
  volume_->must_put("new", "n");
  volume_->close();
  mount();
  EXPECT_TRUE(volume_->volume().info().was_dirty);
  volume_->close();
  volume_->mount();
  EXPECT_EQ(free_clusters(), free_ - 1);
  volume_->close();
  expect_clean();
}

TEST_P(FatRecovery, WhatCannotBeReadIsNeitherChangedNorFreed) {
  lose(kLost);
  auto memory = std::move(*MemoryDisk::create(Sectors::from_bytes(36 << 20)));
  const std::string image = volume_->image();
  ASSERT_TRUE((*memory->open_queue({}))->write({0}, std::as_bytes(std::span(image))));
  auto made = std::make_unique<FaultDevice>(std::move(memory), 1);
  FaultDevice& disk = *made;
  volume_.reset();
  test::FatTestVolume volume(std::move(made), {.utc = true, .recover_later = true});
  disk.add_rule({.operation = Operation::kRead});
  EXPECT_FALSE(volume.volume().recover_some(volume.lane()));
  disk.clear_rules();
  EXPECT_FALSE(volume.volume().recover_some(volume.lane()).value_or(true));
  EXPECT_EQ(volume.get(directory(7) + "/file"), std::string(3000, 'h'));
  const auto refused = volume.put("new", "n");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("cannot be put in order"), std::string::npos)
      << refused.error().what;
  EXPECT_EQ(volume.volume().space().free_clusters, free_ - kLost);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FatRecovery,
                         testing::Values(FatFormat{.type = FatType::kFat16, .cluster_bytes = 2048},
                                         FatFormat{.type = FatType::kFat32, .cluster_bytes = 512},
                                         FatFormat{.type = FatType::kExfat}),
                         [](const auto& param) {
                           return std::string(to_string(*param.param.type));
                         });

}  // namespace
}  // namespace splitring
