// What bounds a guest's costs to us: log lines, mapped pages, files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "backend/image_policy.h"
#include "backend/log_limit.h"
#include "backend/page_budget.h"
#include "backend/step_share.h"

namespace splitring::backend {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(LogLimit, B34_TenLinesAMinuteAndTheRestCounted) {
  LogLimit limit;
  const auto start = LogLimit::Clock::now();
  for (int i = 0; i < 10; i++) EXPECT_EQ(limit.admit(start + seconds(i)), 0U);
  for (int i = 0; i < 1'000'000; i++) ASSERT_FALSE(limit.admit(start + seconds(59)));
  EXPECT_EQ(limit.admit(start + minutes(1)), 1'000'000U);
  EXPECT_EQ(limit.admit(start + minutes(1)), 0U);
}

TEST(PageBudget, B39_GivesNoMoreThanThereIs) {
  PageBudget budget(100);
  PageBudget::Share first = budget.take(60);
  EXPECT_TRUE(first);
  EXPECT_FALSE(budget.take(41));
  EXPECT_TRUE(budget.take(40));  // given back at once
  EXPECT_EQ(budget.left(), 40U);
  PageBudget::Share moved = std::move(first);
  EXPECT_EQ(budget.left(), 40U);
  moved = {};
  EXPECT_EQ(budget.left(), 100U);
}

TEST(PageBudget, AShareMayOutliveItsBudget) {
  PageBudget::Share share;
  {
    PageBudget budget(10);
    share = budget.take(10);
  }
  EXPECT_TRUE(share);
}

TEST(PageBudget, IsExactWhenManyTakeAtOnce) {
  PageBudget budget(1000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&] {
      for (int n = 0; n < 10'000; n++) static_cast<void>(budget.take(300));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.left(), 1000U);
}

TEST(StepShare, B30_ABurstAndThenOneAtATime) {
  StepShare share;
  const auto start = StepShare::Clock::now();
  uint32_t taken = 0;
  for (int i = 0; i < 100'000; i++) taken += share.take(start) ? 1 : 0;
  EXPECT_EQ(taken, StepShare::kBurst);
  for (int i = 1; i <= 1000; i++) {
    const auto now = start + i * StepShare::kInterval;
    EXPECT_FALSE(share.take(now - std::chrono::microseconds(1)));
    EXPECT_TRUE(share.take(now));
    EXPECT_FALSE(share.take(now));
  }
}

TEST(StepShare, AQuietGuestHasItsBurstAgain) {
  StepShare share;
  const auto start = StepShare::Clock::now();
  while (share.take(start)) {
  }
  uint32_t taken = 0;
  while (share.take(start + minutes(1))) taken++;
  EXPECT_EQ(taken, StepShare::kBurst);
}

class ImagePolicy : public ::testing::Test {
 protected:
  ImagePolicy() {
    std::string name = (std::filesystem::temp_directory_path() / "policy-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    std::filesystem::create_directories(folder_ / "images/sub");
    std::filesystem::create_directories(folder_ / "images2");
    for (const char* file :
         {"images/a.img", "images/sub/b.img", "images2/c.img", "images/link#1", "secret"})
      std::ofstream(folder_ / file) << "x";
    std::filesystem::create_symlink(folder_ / "secret", folder_ / "images/link");
  }
  ~ImagePolicy() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] bool allows(const std::string& uri) const {
    return check_image_policy(uri, {folder_ / "images"}).has_value();
  }
  [[nodiscard]] std::string path(const char* file) const { return (folder_ / file).string(); }

 private:
  std::filesystem::path folder_;
};

TEST_F(ImagePolicy, B35_OnlyWhatLiesBelowARoot) {
  EXPECT_TRUE(allows("raw:" + path("images/a.img")));
  EXPECT_TRUE(allows("raw:" + path("images/sub/b.img") + "?direct=on"));
  EXPECT_FALSE(allows("raw:" + path("images2/c.img"))) << "a root's name as a prefix";
  EXPECT_FALSE(allows("raw:" + path("secret")));
  EXPECT_FALSE(allows("raw:" + path("images/../secret")));
  EXPECT_FALSE(allows("raw:" + path("images/link"))) << "a link that leads out";
  EXPECT_FALSE(allows("raw:" + path("images/missing")));
  EXPECT_FALSE(allows("unknown:" + path("secret")));
}

TEST_F(ImagePolicy, B35_OfAPartitionTheFileThatIsOpenedCounts) {
  EXPECT_TRUE(allows("raw:" + path("images/a.img") + "#1"));
  EXPECT_FALSE(allows("raw:" + path("images/link") + "#1")) << "a file of that name is there too";
}

TEST_F(ImagePolicy, WhatIsNoDiskIsToldWhatOneIs) {
  EXPECT_NE(check_image_policy("a.img", {path("images")}).error().what.find("write raw:PATH"),
            std::string::npos);
}

TEST_F(ImagePolicy, B35_NothingIsReadAsAShellOrJsonWould) {
  for (const char* target : {"json:{}", "raw:", "", ":", "raw:$(id)", "raw:;id",
                             "raw:\n/etc/passwd", "/etc/passwd", "raw"})
    EXPECT_FALSE(allows(target)) << target;
  EXPECT_FALSE(allows(std::string("raw:/etc/passwd\0.img", 20)));
}

TEST_F(ImagePolicy, DisksWithoutAFilePass) {
  EXPECT_TRUE(allows("mem:64M"));
  EXPECT_TRUE(allows("vbd:xvda"));
}

TEST_F(ImagePolicy, WithoutRootsEverythingPasses) {
  EXPECT_TRUE(check_image_policy("raw:" + path("secret"), {}).has_value());
}

}  // namespace
}  // namespace splitring::backend
