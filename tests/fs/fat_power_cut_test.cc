// V10: the power fails at every write, and within an epoch keeps any of its sectors. Every image is
// checked as it is (no damage), mounted, judged by the model of what its user was promised, checked
// again (nothing left to find), and a sample of them shown to fsck. In another sample the power
// goes a second time, at every write of the recovery.
//
// SPLITRING_FAT_CUTS=N: distinct images in all; every one of them goes to fsck.fat then.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/support/fs/fat_power_cut.h"
#include "tests/support/sanitized.h"

namespace splitring {
namespace {

using test::FatCutLimits;
using test::FatCutWorkload;

constexpr uint64_t kKiB = 1024;

struct Work {
  const char* name;
  void (*run)(FatCutWorkload& work);
};

void create_and_remove(FatCutWorkload& work) {
  work.mkdir("d");
  for (int i = 0; i < 12; i++) work.put("d/FILE" + std::to_string(i), 700);
  work.sync();
  for (int i = 0; i < 12; i += 2) work.remove("d/FILE" + std::to_string(i));
  for (int i = 20; i < 40; i++) work.put("d/a longer name " + std::to_string(i), 3000);
  work.sync();
  for (int i = 20; i < 40; i += 3) work.remove("d/a longer name " + std::to_string(i));
  work.put("d/FILE0", 100);
  work.put("d/FILE2", 9000);
  work.sync();
}

void grow_and_cut(FatCutWorkload& work) {
  work.put("log", 300);
  work.put("other", 20'000);
  work.sync();
  for (int i = 0; i < 6; i++) {
    work.append("log", 1500);
    work.sync();
  }
  work.truncate("log", 5000);
  work.append("log", 4000);
  work.truncate("other", 0);
  work.append("other", 2500);
  work.sync();
  work.put("other", 7000);
  work.truncate("log", 0);
  work.sync();
}

void rename_about(FatCutWorkload& work) {
  work.mkdir("from");
  work.mkdir("to");
  work.put("from/one", 1000);
  work.put("from/empty", 0);
  work.put("to/target with a long name", 3000);
  work.sync();
  work.rename("from/one", "to/one");
  work.rename("to/one", "to/target with a long name");
  work.rename("from/empty", "to/empty");
  work.rename("to/empty", "from/empty again");
  work.mkdir("from/tree");
  work.put("from/tree/leaf", 500);
  work.rename("from/tree", "to/tree");
  work.put("new", 100);
  work.rename("new", "to/target with a long name");
  work.sync();
}

void names_over_sectors(FatCutWorkload& work) {
  const std::string a(255, 'a');
  const std::string b(230, 'b');
  work.mkdir("d");
  work.put("d/" + a, 600);
  work.put("d/short", 10);
  work.put("d/" + b, 700);
  work.sync();
  work.rename("d/" + a, "d/another " + std::string(220, 'c'));
  work.remove("d/" + b);
  work.put("d/" + b, 800);
  work.rename("d/short", "d/" + a);
  work.sync();
}

void use_clusters_again(FatCutWorkload& work) {
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 6; i++) work.put("f" + std::to_string(i), 30'000);
    if (round == 1) work.sync();
    for (int i = 0; i < 6; i += 2) work.remove("f" + std::to_string(i));
    work.put("large", 120'000);
    work.rename("large", "f" + std::to_string(round));
  }
  work.sync();
}

template <uint32_t seed>
void anything(FatCutWorkload& work) {
  work.random(seed, 120);
}

struct Case {
  Work work;
  const char* volume;
  uint64_t bytes;
  FatFormat format;
  uint64_t share;  // of the images, in percent
};

uint64_t wanted_images(const Case& one) {
  const char* const all = std::getenv("SPLITRING_FAT_CUTS");
  const uint64_t share =
      (all != nullptr ? std::strtoull(all, nullptr, 10) : test::often(10'000)) * one.share / 100;
  return std::max<uint64_t>(share, 20);
}

class FatPowerCut : public testing::TestWithParam<Case> {};

TEST_P(FatPowerCut, V10_LeavesNothingWorseThanRemainsAndLosesNoPromise) {
  const Case& one = GetParam();
  FatCutWorkload work(one.bytes, one.format);
  one.work.run(work);
  FatCutLimits limits{.images = wanted_images(one), .samples_per_epoch = 256};
  if (std::getenv("SPLITRING_FAT_CUTS") != nullptr) {
    limits.samples_per_epoch = 4096;
    limits.fsck_every = 1;
  }
  const auto result = cut_everywhere(work, limits);
  EXPECT_EQ(result.failure, "");
  EXPECT_GE(result.images, std::min<uint64_t>(limits.images, 200));
  EXPECT_GT(result.judged_by_fsck, 0U);
  EXPECT_GT(result.recovery_cuts, 0U);
  std::printf("%llu images, %llu of them shown to fsck; %llu cuts of recoveries\n",
              static_cast<unsigned long long>(result.images),
              static_cast<unsigned long long>(result.judged_by_fsck),
              static_cast<unsigned long long>(result.recovery_cuts));
}

std::vector<Case> cases() {
  const FatFormat plain{.id = 1};
  const FatFormat fat16{.type = FatType::kFat16, .cluster_bytes = 512, .id = 1};
  const FatFormat exfat{.type = FatType::kExfat, .cluster_bytes = 1024, .id = 1};
  const FatFormat fat32{.type = FatType::kFat32, .cluster_bytes = 512, .id = 1};
  std::vector<Case> all;
  const std::vector<Work> works = {{"CreateAndRemove", create_and_remove},
                                   {"GrowAndCut", grow_and_cut},
                                   {"RenameAbout", rename_about},
                                   {"NamesOverSectors", names_over_sectors},
                                   {"UseClustersAgain", use_clusters_again},
                                   {"Anything1", anything<1>},
                                   {"Anything2", anything<2>},
                                   {"Anything3", anything<3>}};
  for (const Work& work : works) {
    all.push_back({work, "Fat12", 360 * kKiB, plain, 12});
    all.push_back({work, "Fat16", 2400 * kKiB, fat16, 3});
    all.push_back({work, "Exfat", 1024 * kKiB, exfat, 4});
  }
  // An image of the smallest FAT32 takes a tenth of a second: few of them.
  all.push_back({works[2], "Fat32", 34'000 * kKiB, fat32, 0});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Fat, FatPowerCut, testing::ValuesIn(cases()), [](const auto& param) {
  return std::string(param.param.work.name) + param.param.volume;
});

}  // namespace
}  // namespace splitring
