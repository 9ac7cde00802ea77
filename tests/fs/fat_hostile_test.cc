// Volumes that lie (rows V1 to V9 of the hardening table): refused or clamped, bounded, never a
// hang.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "blkimage/memory_disk.h"
#include "fs/fat/fat_check.h"
#include "fs/fat/fat_geometry.h"
#include "fs/fat/fat_table.h"
#include "tests/support/fs/fat_test_volume.h"

namespace splitring {
namespace {

constexpr uint64_t kKiB = 1024;

// A floppy with a few files, whose bytes a test changes: 512-byte sectors and clusters; the FATs at
// sectors 1 and 10, the root at 19, cluster 2 at 33.
class HostileFat : public testing::Test {
 protected:
  static constexpr uint64_t kFat = 512;
  static constexpr uint64_t kFatBytes = 9 * 512;
  static constexpr uint64_t kRoot = 19 * 512;
  static constexpr uint64_t kCluster2 = 33 * 512;

  HostileFat() {
    test::FatTestVolume volume(1440 * kKiB, {.id = 1});
    volume.must_put("FILE", std::string(2000, 'x'));
    EXPECT_TRUE(volume.mkdir("DIR"));
    volume.must_put("DIR/INNER", "inner");
    volume.must_put("a long name of a file", "long");
    volume.close();
    image_ = volume.image();
  }

  void set16(uint64_t at, uint16_t value) {
    image_[at] = static_cast<char>(value & 0xff);
    image_[at + 1] = static_cast<char>(value >> 8);
  }
  void set_fat(uint32_t cluster, uint32_t value) {
    for (const uint64_t fat : {kFat, kFat + kFatBytes}) {
      const uint64_t at = fat + cluster + cluster / 2;
      const auto old = static_cast<uint32_t>(static_cast<uint8_t>(image_[at]) |
                                             static_cast<uint8_t>(image_[at + 1]) << 8);
      set16(at, static_cast<uint16_t>(cluster % 2 == 0 ? (old & 0xf000) | value
                                                       : (old & 0x000f) | value << 4));
    }
  }
  // Of the root's slots, by the short name.
  uint64_t slot_of(const char* name) {
    for (uint64_t at = kRoot; at < kCluster2; at += 32)
      if (std::memcmp(image_.data() + at, name, std::strlen(name)) == 0) return at;
    ADD_FAILURE() << name;
    return kRoot;
  }
  uint32_t first_cluster(const char* name) {
    return static_cast<uint8_t>(image_[slot_of(name) + 26]);
  }

  std::unique_ptr<BlockDevice> disk() {
    auto made = std::move(*MemoryDisk::create(Sectors::from_bytes(image_.size())));
    auto lane = std::move(*made->open_queue({}));
    EXPECT_TRUE(lane->write({0}, std::as_bytes(std::span(image_))));
    return made;
  }
  Result<> mounts() {
    const auto device = disk();
    const auto lane = std::move(*device->open_queue({}));
    const auto volume = FatVolume::open(*lane);
    if (!volume) return tl::make_unexpected(volume.error());
    return {};
  }
  // Damage is found, a repair leaves none, and fsck.fat agrees.
  std::string repaired() {
    const auto device = disk();
    const auto lane = std::move(*device->open_queue({}));
    const auto before = check_fat(*lane, FatRepair::kNothing);
    if (!before || before->findings.empty()) return "nothing was found";
    if (!check_fat(*lane, FatRepair::kAll)) return "no repair";
    const auto after = check_fat(*lane, FatRepair::kNothing);
    if (!after || !after->findings.empty()) return "left: " + after->findings[0].what;
    if (!lane->read({0}, std::as_writable_bytes(std::span(image_)))) return "no image";
    return test::fsck_fat(image_);
  }

  std::string image_;
};

TEST_F(HostileFat, V1_RefusesBootSectorsThatCannotBe) {
  const std::string good = image_;
  const std::vector<std::pair<const char*, std::function<void()>>> lies = {
      {"sector 0", [&] { set16(11, 0); }},
      {"sector 513", [&] { set16(11, 513); }},
      {"sector 65535", [&] { set16(11, 65535); }},
      {"sector 8192", [&] { set16(11, 8192); }},
      {"cluster 0", [&] { image_[13] = 0; }},
      {"cluster 3", [&] { image_[13] = 3; }},
      {"FATs 0", [&] { image_[16] = 0; }},
      {"FATs 255", [&] { image_[16] = static_cast<char>(255); }},
      {"reserved 0", [&] { set16(14, 0); }},
      {"root of 7 entries", [&] { set16(17, 7); }},
      {"root of 0 entries", [&] { set16(17, 0); }},
      {"no sectors", [&] { set16(19, 0); }},
      {"more sectors than the disk", [&] { set16(19, 2881); }},
      {"FATs of 0 sectors", [&] { set16(22, 0); }},
      {"FATs of 65535 sectors", [&] { set16(22, 65535); }},
      {"no mark", [&] { set16(510, 0); }},
      {"exFAT", [&] { image_.replace(3, 8, "EXFAT   "); }},
  };
  ASSERT_TRUE(mounts());
  for (const auto& [what, lie] : lies) {
    image_ = good;
    lie();
    const auto done = mounts();
    EXPECT_FALSE(done) << what;
    const Errc code = done ? Errc::kIo : done.error().code;
    EXPECT_TRUE(code == Errc::kInvalid || code == Errc::kUnsupported) << what;
  }
}

TEST(FatGeometry, V2_DecidesTheTypeByTheNumberOfClusters) {
  EXPECT_EQ(fat_type_of(4084), FatType::kFat12);
  EXPECT_EQ(fat_type_of(4085), FatType::kFat16);
  EXPECT_EQ(fat_type_of(65524), FatType::kFat16);
  EXPECT_EQ(fat_type_of(65525), FatType::kFat32);
}

TEST_F(HostileFat, V3_ChainsThatLoopCrossOrLeadAstrayAreErrors) {
  const std::string good = image_;
  const uint32_t first = first_cluster("FILE");
  const uint32_t other = first_cluster("DIR");
  for (const uint32_t next : {first, 0U, 1U, 0xff7U, 0xff0U, 4000U}) {
    image_ = good;
    set_fat(first, next);
    test::FatTestVolume volume(disk(), {});
    EXPECT_EQ(volume.get("FILE"), "<error>") << next;
    EXPECT_EQ(volume.get("DIR/INNER"), "inner");
    EXPECT_EQ(repaired(), "") << next;
  }
  image_ = good;
  set_fat(first, other);
  EXPECT_EQ(repaired(), "");
}

TEST_F(HostileFat, V3_RemovingFilesThatShareAClusterFreesItOnce) {
  set_fat(first_cluster("FILE"), first_cluster("ALONGN~1"));
  test::FatTestVolume volume(disk(), {});
  const uint64_t before = volume.volume().space().free_clusters;
  EXPECT_TRUE(volume.remove("FILE"));
  EXPECT_TRUE(volume.remove("a long name of a file"));
  volume.close();
  EXPECT_EQ(volume.volume().space().free_clusters, before + 2);
}

TEST(FatTable, V4_TheLastOddEntryOfAFat12EndsWithinIt) {
  FatGeometry geometry;
  geometry.type = FatType::kFat12;
  geometry.clusters = 339;  // the last, 340, ends with the sector's last byte but one
  geometry.fat_bytes = geometry.fat_used_bytes = 512;
  geometry.fat_offset = 0;
  auto disk = std::move(*MemoryDisk::create(Sectors{1}));
  auto lane = std::move(*disk->open_queue({}));
  FatTable table(geometry);
  ASSERT_TRUE(table.load(*lane));
  table.set(340, kFatEnd);
  table.set(339, 340);
  EXPECT_EQ(table.get(340), kFatEnd);
  EXPECT_EQ(table.get(339), 340U);
}

TEST_F(HostileFat, V5_LongNamesThatAreBrokenGiveWayToTheShortOne) {
  const std::string good = image_;
  const uint64_t own = slot_of("ALONGN~1");
  const auto shows_short = [&](const char* what) {
    test::FatTestVolume volume(disk(), {});
    EXPECT_TRUE(volume.exists("ALONGN~1")) << what;
    EXPECT_FALSE(volume.exists("a long name of a file")) << what;
  };
  image_[own - 32] = 2;  // the wrong order
  shows_short("order");
  image_ = good;
  image_[own - 32 + 13]++;  // the checksum
  shows_short("checksum");
  image_ = good;
  image_[own - 64] = 0x55;  // 21 parts
  shows_short("21 parts");
  image_ = good;
  set16(own - 32 + 1, 0xd800);  // half a pair
  shows_short("surrogate");
  image_ = good;
  set16(own - 32 + 1, '/');
  shows_short("slash");
  image_ = good;
  image_[own] = static_cast<char>(0xe5);  // no entry
  EXPECT_EQ(repaired(), "");
}

TEST_F(HostileFat, V6_DirectoriesThatHoldTheirParentsEnd) {
  // DIR/INNER becomes a directory that is DIR itself.
  const uint32_t dir = first_cluster("DIR");
  const uint64_t inner = kCluster2 + (dir - 2) * 512 + 64;
  image_[inner + 11] = 0x10;
  set16(inner + 26, static_cast<uint16_t>(dir));
  {
    test::FatTestVolume volume(disk(), {});
    EXPECT_FALSE(volume.exists("DIR/INNER"));
    EXPECT_EQ(volume.names("DIR").size(), 1U);
  }
  EXPECT_EQ(repaired(), "");
}

TEST_F(HostileFat, V6_AWrongDotDotAndALabelInTheMiddleAreFound) {
  const uint32_t dir = first_cluster("DIR");
  set16(kCluster2 + (dir - 2) * 512 + 32 + 26, 77);
  test::FatTestVolume volume(disk(), {});
  EXPECT_EQ(volume.get("DIR/INNER"), "inner");
  EXPECT_EQ(repaired(), "");
}

TEST_F(HostileFat, V6_ADirectoryThatIsTooLongIsAnError) {
  // Its chain loops.
  set_fat(first_cluster("DIR"), first_cluster("DIR"));
  test::FatTestVolume volume(disk(), {});
  EXPECT_FALSE(volume.exists("DIR/INNER"));
  EXPECT_EQ(repaired(), "");
}

TEST_F(HostileFat, V7_SizesAreClampedToWhatTheClustersHold) {
  const std::string good = image_;
  const uint64_t file = slot_of("FILE");
  image_[file + 30] = 1;  // 64 KiB more
  {
    test::FatTestVolume volume(disk(), {});
    EXPECT_EQ(volume.get("FILE").size(), 2048U);
    EXPECT_FALSE(volume.volume().notes().empty());
  }
  EXPECT_EQ(repaired(), "");
  image_ = good;
  set16(file + 26, 0);  // bytes without a cluster
  {
    test::FatTestVolume volume(disk(), {});
    EXPECT_EQ(volume.get("FILE"), "");
  }
  EXPECT_EQ(repaired(), "");
  image_ = good;
  image_[slot_of("DIR") + 28] = 1;  // a directory with a size
  {
    test::FatTestVolume volume(disk(), {});
    EXPECT_EQ(volume.get("DIR/INNER"), "inner");
  }
}

TEST(FatInfo, V8_HintsAreOnlyHints) {
  test::FatTestVolume volume(40 << 20, {.type = FatType::kFat32, .id = 1});
  volume.close();
  std::string image = volume.image();
  const uint64_t free_clusters = volume.volume().space().free_clusters;
  for (uint64_t at = 512 + 488; at < 512 + 496; at++) image[at] = 0x7f;
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(image.size())));
  ASSERT_TRUE((*disk->open_queue({}))->write({0}, std::as_bytes(std::span(image))));
  test::FatTestVolume lying(std::move(disk), {});
  EXPECT_EQ(lying.volume().space().free_clusters, free_clusters);
  lying.must_put("x", "y");
  lying.close();
  EXPECT_EQ(lying.fsck(), "");
}

TEST_F(HostileFat, V9_TheFirstFatCountsAndCopiesFollowOnDemand) {
  const uint32_t first = first_cluster("FILE");
  const uint64_t at = kFat + kFatBytes + first + first / 2;
  image_[at] = 0;
  image_[at + 1] = 0;
  {
    test::FatTestVolume volume(disk(), {});
    EXPECT_EQ(volume.get("FILE"), std::string(2000, 'x'));
  }
  EXPECT_EQ(repaired(), "");
}

}  // namespace
}  // namespace splitring
