// What exFAT has that FAT has not: files in one piece, lengths of what was written, sets of slots
// that other systems place as they like, a second boot region. fsck.exfat judges what is left.
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "blkimage/memory_disk.h"
#include "fs/exfat/exfat_boot.h"
#include "fs/exfat/exfat_layout.h"
#include "fs/exfat/exfat_upcase.h"
#include "fs/fat/fat_check.h"
#include "tests/support/fs/fat_test_volume.h"

namespace splitring {
namespace {

using test::FatTestVolume;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint32_t kCluster = 4096;
const FatFormat kFormat{.type = FatType::kExfat, .cluster_bytes = kCluster, .id = 1};

class Exfat : public testing::Test {
 protected:
  // The bytes of a disk, to be changed behind the volume's back.
  void take_image(FatTestVolume& volume) {
    volume.close();
    image_ = volume.image();
    std::memcpy(&boot_, image_.data(), sizeof boot_);
  }
  std::unique_ptr<BlockDevice> disk() {
    auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(image_.size())));
    EXPECT_TRUE((*disk->open_queue({}))->write({0}, std::as_bytes(std::span(image_))));
    return disk;
  }
  Result<> mounts() {
    const auto disk = this->disk();
    const auto lane = std::move(*disk->open_queue({}));
    TRY(FatVolume::open(*lane, {.utc = true}));
    return {};
  }
  // Empty: what was wrong was found, and fsck.exfat finds nothing after the repair.
  std::string repaired() {
    const auto disk = this->disk();
    const auto lane = std::move(*disk->open_queue({}));
    const auto before = check_fat(*lane, FatRepair::kNothing);
    if (!before) return before.error().what;
    if (before->findings.empty()) return "nothing was found";
    if (!check_fat(*lane, FatRepair::kAll)) return "no repair";
    const auto after = check_fat(*lane, FatRepair::kNothing);
    if (!after) return after.error().what;
    if (!after->findings.empty()) return "left: " + after->findings[0].what;
    EXPECT_TRUE(lane->read({0}, std::as_writable_bytes(std::span(image_))));
    return test::fsck_fat(image_);
  }
  [[nodiscard]] uint64_t offset_of(uint32_t cluster) const {
    return (uint64_t{boot_.heap_offset} << boot_.sector_shift) + uint64_t{cluster - 2} * kCluster;
  }
  // Where the file slot of a name of up to 15 units lies.
  [[nodiscard]] uint64_t slot_of(std::string_view name) const {
    std::string units;
    for (const char c : name) units.append({c, '\0'});
    const size_t found = image_.find(units, offset_of(boot_.root_cluster));
    EXPECT_NE(found, std::string::npos) << name;
    return found - 2 - 64;
  }
  // So that only what was meant is wrong.
  void renew_checksum(uint64_t slot) {
    uint16_t sum = 0;
    const size_t bytes = 32 * (size_t{1} + static_cast<uint8_t>(image_[slot + 1]));
    for (size_t i = 0; i < bytes; i++) {
      if (i == 2 || i == 3) continue;
      const auto byte = static_cast<uint8_t>(image_[slot + i]);
      sum = exfat_sum_16(std::span(&byte, 1), sum);
    }
    image_[slot + 2] = static_cast<char>(sum & 0xff);
    image_[slot + 3] = static_cast<char>(sum >> 8);
  }
  void make_sample() {
    FatTestVolume volume(2 * kMiB, kFormat);
    volume.must_put("FILE", std::string(20'000, 'x'));
    volume.must_put("OTHER", std::string(9000, 'y'));
    ASSERT_TRUE(volume.mkdir("DIR"));
    volume.must_put("DIR/INNER", "inner");
    take_image(volume);
  }

  std::string image_;
  ExfatBootSector boot_;
};

// Evaluated by the compiler, which refuses what is not defined.
TEST(ExfatLayout, TheSumOfSixteenBitsStaysWithinThem) {
  constexpr std::array<uint8_t, 1> kByte = {0x6f};
  constexpr uint16_t kSum = exfat_sum_16(kByte, 0xffff);
  static_assert(kSum == 0x006e);
  EXPECT_EQ(kSum, 0x006e);
}

TEST_F(Exfat, AFileInOnePieceNeedsNoChainAndOneInTwoHasOne) {
  FatTestVolume volume(2 * kMiB, kFormat);
  volume.must_put("ONE", std::string(3 * kCluster, '1'));
  volume.must_put("WALL", "w");
  const FatNode one = volume.node("ONE");
  ASSERT_TRUE(volume.volume().open_file(volume.lane(), one));
  take_image(volume);
  EXPECT_EQ(image_[slot_of("ONE") + 33], 3);
  volume.mount();
  const FatNode again = volume.node("ONE");
  ASSERT_TRUE(volume.volume().open_file(volume.lane(), again));
  const std::string more(3 * kCluster, '2');
  ASSERT_TRUE(volume.volume().append(volume.lane(), again, std::as_bytes(std::span(more))));
  ASSERT_TRUE(volume.volume().close_file(volume.lane(), again));
  take_image(volume);
  EXPECT_EQ(image_[slot_of("ONE") + 33], 1);
  EXPECT_EQ(test::fsck_fat(image_), "");
  volume.mount();
  EXPECT_EQ(volume.get("ONE"), std::string(3 * kCluster, '1') + more);
}

TEST_F(Exfat, WhatNobodyWroteReadsAsZeroesWhateverTheClustersHold) {
  FatTestVolume volume(2 * kMiB, kFormat);
  volume.must_put("OLD", std::string(100'000, 'o'));
  ASSERT_TRUE(volume.remove("OLD"));
  ASSERT_TRUE(volume.volume().sync(volume.lane()));
  volume.must_put("NEW", "begin");
  const FatNode file = volume.node("NEW");
  ASSERT_TRUE(volume.volume().open_file(volume.lane(), file));
  ASSERT_TRUE(volume.volume().truncate(volume.lane(), file, 100'000));
  EXPECT_EQ(volume.get("NEW"), "begin" + std::string(99'995, '\0'));
  take_image(volume);
  EXPECT_EQ(test::fsck_fat(image_), "");
  le64 valid;
  std::memcpy(&valid, image_.data() + slot_of("NEW") + 32 + 8, sizeof valid);
  EXPECT_EQ(valid, 5U) << "zeroes were written";
  volume.mount();
  const FatNode again = volume.node("NEW");
  ASSERT_TRUE(volume.volume().open_file(volume.lane(), again));
  ASSERT_TRUE(
      volume.volume().write(volume.lane(), again, 50'000, std::as_bytes(std::span("m", 1))));
  EXPECT_EQ(volume.get("NEW"),
            "begin" + std::string(49'995, '\0') + "m" + std::string(49'999, '\0'));
}

TEST_F(Exfat, ASetThatOthersPutOverTwoSectorsIsMovedBeforeItChanges) {
  FatTestVolume volume(2 * kMiB, kFormat);
  ASSERT_TRUE(volume.mkdir("d"));
  for (char c = 'a'; c < 'a' + 6; c++) volume.must_put(std::string("d/") + c, std::string(1, c));
  volume.must_put("d/target", "t");
  take_image(volume);
  // Five sets fill 15 slots of the first sector: the sixth moves up by one, to begin in the last.
  for (const char* name : {"f", "target"}) {
    const uint64_t slot = slot_of(name);
    if (slot % 512 != 0) continue;
    std::memmove(image_.data() + slot - 32, image_.data() + slot, 96);
    image_[slot + 64] = 5;
  }
  ASSERT_EQ(slot_of("f") % 512, 480U);
  EXPECT_EQ(test::fsck_fat(image_), "");
  FatTestVolume foreign(disk(), {.utc = true});
  EXPECT_EQ(foreign.get("d/f"), "f");
  foreign.must_put("d/f", std::string(10'000, 'F'));
  EXPECT_EQ(foreign.get("d/f"), std::string(10'000, 'F'));
  foreign.must_put("d/g", "over");
  ASSERT_TRUE(foreign.rename("d/g", "d/f"));
  EXPECT_EQ(foreign.get("d/f"), "over");
  EXPECT_EQ(foreign.names("d"), (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "target"}));
  take_image(foreign);
  EXPECT_NE(slot_of("f") % 512, 480U);
  EXPECT_EQ(test::fsck_fat(image_), "");
  foreign.mount();
  EXPECT_EQ(foreign.volume().info().was_dirty, false);
}

TEST_F(Exfat, RenamingOverASetInTwoSectorsReplacesIt) {
  FatTestVolume volume(2 * kMiB, kFormat);
  ASSERT_TRUE(volume.mkdir("d"));
  for (char c = 'a'; c < 'a' + 6; c++) volume.must_put(std::string("d/") + c, std::string(1, c));
  take_image(volume);
  const uint64_t slot = slot_of("f");
  ASSERT_EQ(slot % 512, 0U);
  std::memmove(image_.data() + slot - 32, image_.data() + slot, 96);
  image_[slot + 64] = 5;
  FatTestVolume foreign(disk(), {.utc = true});
  ASSERT_TRUE(foreign.rename("d/a", "d/f"));
  EXPECT_EQ(foreign.get("d/f"), "a");
  take_image(foreign);
  EXPECT_EQ(test::fsck_fat(image_), "");
}

TEST_F(Exfat, TimesKeepTheirZone) {
  FatTestVolume volume(2 * kMiB, kFormat);
  volume.must_put("FILE", "x");
  const FatNode file = volume.node("FILE");
  const FatTime time{.s = 1'700'000'001, .ns = 340'000'000};
  ASSERT_TRUE(volume.volume().change(volume.lane(), file, {.modified = time, .created = time}));
  take_image(volume);
  const uint64_t slot = slot_of("FILE");
  {
    FatTestVolume same(disk(), {});
    EXPECT_EQ(same.volume().stat(same.lane(), same.node("FILE"))->modified, time);
  }
  image_[slot + 23] = static_cast<char>(0x80 | 4);  // an hour before UTC: it was an hour earlier
  image_[slot + 22] = static_cast<char>(0x80 | (128 - 8));  // two hours behind
  renew_checksum(slot);
  FatTestVolume away(disk(), {});
  const auto stat = away.volume().stat(away.lane(), away.node("FILE"));
  EXPECT_EQ(stat->modified.s, time.s - 3600);
  EXPECT_EQ(stat->created.s, time.s + 7200);
}

TEST_F(Exfat, TheSecondBootRegionStandsInAndMendsTheFirst) {
  make_sample();
  const std::string good = image_;
  for (const size_t damaged : {size_t{3}, size_t{110}, size_t{700}}) {
    image_ = good;
    image_.replace(damaged, 4, "\x99\x98\x97\x96");
    FatTestVolume volume(disk(), {.read_only = true, .utc = true});
    EXPECT_EQ(volume.get("DIR/INNER"), "inner") << damaged;
    EXPECT_EQ(repaired(), "") << damaged;
    EXPECT_EQ(image_.substr(0, 106), good.substr(0, 106));
  }
}

TEST_F(Exfat, V1_RefusesBootSectorsThatCannotBe) {
  make_sample();
  const auto refused = [&](const char* what, const std::function<void(ExfatBootSector&)>& lie) {
    ExfatBootSector boot = boot_;
    lie(boot);
    const auto parsed = parse_exfat_boot_sector(boot, image_.size());
    EXPECT_FALSE(parsed) << what;
  };
  ASSERT_TRUE(parse_exfat_boot_sector(boot_, image_.size()));
  refused("sector 8", [](auto& b) { b.sector_shift = 8; });
  refused("sector 13", [](auto& b) { b.sector_shift = 13; });
  refused("sector 255", [](auto& b) { b.sector_shift = 255; });
  refused("cluster 255", [](auto& b) { b.cluster_shift = 255; });
  refused("cluster 17", [](auto& b) { b.cluster_shift = 17; });
  refused("FATs 0", [](auto& b) { b.fat_count = 0; });
  refused("FATs 2", [](auto& b) { b.fat_count = 2; });
  refused("version", [](auto& b) { b.revision = 0x0200; });
  refused("length", [](auto& b) { b.volume_length = b.volume_length + 1; });
  refused("length 2^63", [](auto& b) { b.volume_length = uint64_t{1} << 63; });
  refused("no clusters", [](auto& b) { b.cluster_count = 0; });
  refused("clusters", [](auto& b) { b.cluster_count = 0xfffffff5; });
  refused("one cluster more", [](auto& b) { b.cluster_count = b.cluster_count + 1000; });
  refused("FAT in the boot region", [](auto& b) { b.fat_offset = 12; });
  refused("FAT behind the clusters", [](auto& b) { b.fat_offset = 0xffffffff; });
  refused("short FAT", [](auto& b) { b.fat_length = 0; });
  refused("clusters behind the end", [](auto& b) { b.heap_offset = 0xffffffff; });
  refused("root 1", [](auto& b) { b.root_cluster = 1; });
  refused("root behind the end", [](auto& b) { b.root_cluster = b.cluster_count + 2; });
  refused("no mark", [](auto& b) { b.magic = 0; });
  image_[80]++;  // under the checksum
  image_[512 * 12 + 80]++;
  EXPECT_EQ(mounts().error().code, Errc::kInvalid);
}

TEST_F(Exfat, V3_ChainsThatLoopCrossOrLeadAstrayAreErrors) {
  make_sample();
  const std::string good = image_;
  const uint64_t fat = uint64_t{boot_.fat_offset} << boot_.sector_shift;
  const uint64_t file = slot_of("FILE");
  le32 first;
  std::memcpy(&first, image_.data() + file + 32 + 20, sizeof first);
  const auto chained = [&](uint32_t next) {
    image_ = good;
    image_[file + 33] = 1;
    renew_checksum(file);
    const le32 value = next;
    std::memcpy(image_.data() + fat + first * 4, &value, sizeof value);
  };
  for (const uint32_t next : {uint32_t{first}, 0U, 1U, 0xfffffff7U, 0xfffffff0U, 0xffffffffU,
                              boot_.cluster_count + 2, first + 6}) {
    chained(next);
    {
      FatTestVolume volume(disk(), {.read_only = true, .utc = true});
      EXPECT_NE(volume.get("FILE"), std::string(20'000, 'x')) << next;
      EXPECT_EQ(volume.get("OTHER"), std::string(9000, 'y')) << next;
    }
    EXPECT_EQ(repaired(), "") << next;
  }
  image_ = good;
  const le32 far = boot_.cluster_count;  // in one piece, beyond the end
  std::memcpy(image_.data() + file + 32 + 20, &far, sizeof far);
  renew_checksum(file);
  EXPECT_EQ(repaired(), "");
}

TEST_F(Exfat, ClustersThatTheBitmapCallsFreeAreNobodysUntilItIsMended) {
  make_sample();
  const uint64_t bitmap = offset_of(2);
  le32 first;
  std::memcpy(&first, image_.data() + slot_of("FILE") + 32 + 20, sizeof first);
  const uint32_t bit = first - 2 + 1;
  image_[bitmap + bit / 8] = static_cast<char>(image_[bitmap + bit / 8] & ~(1 << bit % 8));
  {
    FatTestVolume volume(disk(), {.utc = true});
    EXPECT_EQ(volume.get("FILE"), "<error>");
    EXPECT_FALSE(volume.volume().notes().empty());
  }
  EXPECT_EQ(repaired(), "");
  FatTestVolume volume(disk(), {.utc = true});
  EXPECT_EQ(volume.get("FILE"), std::string(20'000, 'x'));
}

TEST_F(Exfat, V5_BrokenSetsAreNoEntriesAndSumsAreRenewed) {
  make_sample();
  const std::string good = image_;
  const uint64_t file = slot_of("FILE");
  const auto broken = [&](uint64_t at, uint8_t value, bool renew) {
    image_ = good;
    image_[at] = static_cast<char>(value);
    if (renew) renew_checksum(file);
    FatTestVolume volume(disk(), {.read_only = true, .utc = true});
    EXPECT_FALSE(volume.exists("FILE")) << at - file;
    EXPECT_EQ(volume.get("OTHER"), std::string(9000, 'y')) << at - file;
  };
  broken(file + 2, 0x77, false);  // the checksum
  EXPECT_EQ(repaired(), "");
  EXPECT_EQ(FatTestVolume(disk(), {.utc = true}).get("FILE"), std::string(20'000, 'x'));
  broken(file + 36, 0x77, true);  // the name's hash
  EXPECT_EQ(repaired(), "");
  broken(file + 1, 255, false);  // slots
  broken(file + 1, 1, true);
  EXPECT_EQ(repaired(), "");
  broken(file + 35, 0, true);    // no name
  broken(file + 35, 255, true);  // a name longer than its slots
  EXPECT_EQ(repaired(), "");
  broken(file + 64, 0x41, true);  // a slot of the name is gone
  EXPECT_EQ(repaired(), "");
  broken(file + 66, '/', true);
  broken(file + 67, 0xd8, true);  // half a pair
  EXPECT_EQ(repaired(), "");
  image_ = good;
  image_[file] = 5;  // the file slot alone has gone
  EXPECT_EQ(repaired(), "");
}

TEST_F(Exfat, V6_DirectoriesThatHoldTheirParentsEnd) {
  make_sample();
  const uint64_t directory = slot_of("DIR");
  const le32 root = boot_.root_cluster;
  std::memcpy(image_.data() + directory + 32 + 20, &root, sizeof root);
  renew_checksum(directory);
  {
    FatTestVolume volume(disk(), {.utc = true});
    EXPECT_FALSE(volume.exists("DIR/DIR/DIR"));
  }
  EXPECT_EQ(repaired(), "");
}

TEST_F(Exfat, V7_LengthsAreHeldAgainstTheVolume) {
  make_sample();
  const std::string good = image_;
  const uint64_t file = slot_of("FILE");
  const auto with_length = [&](uint64_t valid, uint64_t bytes) {
    image_ = good;
    const le64 lengths[2]{valid, bytes};
    std::memcpy(image_.data() + file + 40, &lengths[0], 8);
    std::memcpy(image_.data() + file + 56, &lengths[1], 8);
    renew_checksum(file);
    FatTestVolume volume(disk(), {.utc = true});
    return volume.get("FILE").size();
  };
  EXPECT_EQ(with_length(30'000, 20'000), 20'000U);
  EXPECT_EQ(with_length(1, 20'000), 20'000U);
  with_length(UINT64_MAX, UINT64_MAX);
  EXPECT_EQ(repaired(), "");
  with_length(uint64_t{1} << 40, uint64_t{1} << 40);
  EXPECT_EQ(repaired(), "");
  with_length(0, 0);  // and a first cluster
  EXPECT_EQ(repaired(), "");
}

TEST(ExfatUpcase, ATableUnpacksToWhatWasPackedAndDamageIsRefused) {
  const ExfatUpcase ours;
  const auto packed = ours.pack();
  EXPECT_LT(packed.size(), 8192U);
  const auto back = ExfatUpcase::unpack(packed, ExfatUpcase::checksum(packed));
  ASSERT_TRUE(back);
  std::u16string all;
  for (uint32_t unit = 1; unit < 65536; unit++) all.push_back(static_cast<char16_t>(unit));
  EXPECT_EQ(back->folded(all), ours.folded(all));
  EXPECT_FALSE(ExfatUpcase::unpack(packed, 1));
  std::vector<uint8_t> odd = packed;
  odd['a' * 2] = 'x';
  EXPECT_FALSE(ExfatUpcase::unpack(odd, ExfatUpcase::checksum(odd)));
  const std::vector<uint8_t> none;
  EXPECT_FALSE(ExfatUpcase::unpack(none, ExfatUpcase::checksum(none)));
}

TEST(ExfatLayout, SumsAreThoseOfTheSpecification) {
  // 7.4's and 3.4's loops, by hand: 1, then 0x80...00 + 2.
  constexpr std::array<uint8_t, 2> bytes{1, 2};
  EXPECT_EQ(exfat_sum_16(bytes, 0), 0x8002);
  EXPECT_EQ(exfat_sum_32(bytes, 0), 0x80000002U);
}

}  // namespace
}  // namespace splitring
