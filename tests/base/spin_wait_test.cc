#include "base/spin_wait.h"

#include <gtest/gtest.h>

namespace splitring {
namespace {

using std::chrono::nanoseconds;

TEST(SpinWait, ReturnsAsSoonAsItIsReady) {
  SpinWait spin(SpinWait::Mode::kOn, std::chrono::hours(1));
  int looks = 0;
  EXPECT_TRUE(spin.spin([&] { return ++looks == 40; }));
  EXPECT_EQ(looks, 40);
}

TEST(SpinWait, OffNeverLooks) {
  SpinWait spin(SpinWait::Mode::kOff, std::chrono::hours(1));
  EXPECT_FALSE(spin.spin([] { return true; }));
}

TEST(SpinWait, OnTriesEveryTime) {
  SpinWait spin(SpinWait::Mode::kOn, nanoseconds(0));
  for (int i = 0; i < 100; i++) {
    int looks = 0;
    EXPECT_FALSE(spin.spin([&] { return ++looks < 0; }));
    EXPECT_GT(looks, 0);
  }
}

TEST(SpinWait, AutomaticGivesUpWhatDoesNotPayAndTriesAgain) {
  SpinWait spin(SpinWait::Mode::kAuto, nanoseconds(0));
  int tries = 0;
  for (int i = 0; i < 10'000; i++) {
    bool looked = false;
    EXPECT_FALSE(spin.spin([&] {
      looked = true;
      return false;
    }));
    tries += looked;
  }
  EXPECT_GE(tries, 10) << "it never gives up for good";
  EXPECT_LE(tries, 40) << "it spins though it never pays";
}

TEST(SpinWait, AutomaticSpinsAgainOnceItPaid) {
  SpinWait spin(SpinWait::Mode::kAuto, nanoseconds(0));
  for (int i = 0; i < 10'000; i++) static_cast<void>(spin.spin([] { return false; }));
  int skipped = 0;
  while (!spin.spin([] { return true; })) ASSERT_LE(++skipped, 1024);
  for (int i = 0; i < 100; i++) EXPECT_TRUE(spin.spin([] { return true; })) << i;
}

}  // namespace
}  // namespace splitring
