// Local times of a FAT volume, back to moments, in zones that change their clocks.
#include "fs/fat/fat_time.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>

namespace splitring {
namespace {

constexpr int64_t kFirstMoment = 631'152'000;   // 1990
constexpr int64_t kLastMoment = 2'208'988'800;  // 2040
constexpr int64_t kStep = 7 * 3600 + 26 * 60;   // comes by every hour of the day
constexpr const char* kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";
constexpr const char* kNewYork = "EST5EDT,M3.2.0,M11.1.0";

// The process's time zone, for as long as it lives.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* before = std::getenv("TZ")) before_ = before;
    set(name);
  }
  ~Zone() { set(before_ ? before_->c_str() : nullptr); }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  static void set(const char* name) {
    if (name != nullptr)
      ::setenv("TZ", name, 1);
    else
      ::unsetenv("TZ");
    ::tzset();
  }
  std::optional<std::string> before_;
};

class FatTimeIn : public testing::TestWithParam<const char*> {};

TEST_P(FatTimeIn, EveryStampIsAMomentThatHasThatStamp) {
  const Zone zone(GetParam());
  for (int64_t moment = kFirstMoment; moment < kLastMoment; moment += kStep) {
    const FatStamp stamp = fat_stamp({moment, 0}, false);
    const FatTime back = fat_time(stamp, false);
    // The hour that a clock shows twice has two moments.
    ASSERT_LE(std::abs(back.s - moment), 3600) << moment;
    ASSERT_EQ(fat_stamp(back, false), stamp) << moment;
  }
}

TEST_P(FatTimeIn, AMomentComesBackUnlessTheClockShowedItTwice) {
  const Zone zone(GetParam());
  for (int64_t moment = kFirstMoment; moment < kLastMoment; moment += kStep) {
    const FatStamp stamp = fat_stamp({moment, 0}, false);
    if (fat_stamp({moment - 3600, 0}, false) == stamp ||
        fat_stamp({moment + 3600, 0}, false) == stamp)
      continue;
    ASSERT_EQ(fat_time(stamp, false).s, moment);
  }
}

INSTANTIATE_TEST_SUITE_P(Zones, FatTimeIn,
                         testing::Values("UTC0", kBerlin, kNewYork, "IST-5:30", "<+14>-14",
                                         "AEST-10AEDT,M10.1.0,M4.1.0/3"));

TEST(FatTime, ASkippedTimeIsNoMoreThanAnHourOff) {
  const Zone zone(kBerlin);
  constexpr int64_t kClocksChange = 1'711'846'800;  // 31 March 2024, 01:00 UTC: 02:00 becomes 03:00
  const FatStamp skipped{.date = 44U << 9 | 3U << 5 | 31U, .time = 2U << 11 | 30U << 5};
  EXPECT_LE(std::abs(fat_time(skipped, false).s - kClocksChange), 3600);
}

}  // namespace
}  // namespace splitring
