#include "fs/fat/fat_time.h"

#include <algorithm>
#include <ctime>

namespace splitring {
namespace {

constexpr int kFirstYear = 1980;
constexpr int kLastYear = 2107;
constexpr uint32_t kTenMilliseconds = 10'000'000;

// Seconds that local time is ahead of UTC at that moment.
std::time_t zone_offset(std::time_t moment) {
  std::tm parts{};
  return localtime_r(&moment, &parts) != nullptr ? parts.tm_gmtoff : 0;
}

// What mktime() does, which looks for another time zone in every call: with a system call each, of
// which a listing makes three per file. A time that the clock showed twice is either, one that it
// skipped is an hour off.
std::time_t moment_of_local(std::tm parts) {
  const std::time_t as_if_utc = timegm(&parts);
  const std::time_t close = as_if_utc - zone_offset(as_if_utc);
  return as_if_utc - zone_offset(close);
}

}  // namespace

FatStamp fat_stamp(const FatTime& time, bool utc) {
  const auto seconds = static_cast<std::time_t>(time.s);
  std::tm parts{};
  const bool known = (utc ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts)) != nullptr;
  const int year = known ? parts.tm_year + 1900 : (time.s < 0 ? 0 : kLastYear + 1);
  if (year < kFirstYear) return {.date = 1U << 5 | 1U, .time = 0, .tens_of_ms = 0};
  if (year > kLastYear)
    return {
        .date = 127U << 9 | 12U << 5 | 31U, .time = 23U << 11 | 59U << 5 | 29U, .tens_of_ms = 199};
  const int second = std::min(parts.tm_sec, 59);  // a leap second has no place
  const auto word = [](int a, int shift_a, int b, int c) {
    return static_cast<uint16_t>(a << shift_a | b << 5 | c);
  };
  return {.date = word(year - kFirstYear, 9, parts.tm_mon + 1, parts.tm_mday),
          .time = word(parts.tm_hour, 11, parts.tm_min, second / 2),
          .tens_of_ms = static_cast<uint8_t>(second % 2 * 100 +
                                             static_cast<int>(time.ns / kTenMilliseconds))};
}

FatTime fat_time(const FatStamp& stamp, bool utc) {
  if (stamp.date == 0) return {};
  const int tens = std::min<int>(stamp.tens_of_ms, 199);
  std::tm parts{};
  parts.tm_year = (stamp.date >> 9) + kFirstYear - 1900;
  parts.tm_mon = std::clamp((stamp.date >> 5 & 15) - 1, 0, 11);
  parts.tm_mday = std::max(stamp.date & 31, 1);
  parts.tm_hour = std::min(stamp.time >> 11, 23);
  parts.tm_min = std::min(stamp.time >> 5 & 63, 59);
  parts.tm_sec = std::min((stamp.time & 31) * 2, 58) + tens / 100;
  const bool has_zone = (stamp.zone & kFatZoneKnown) != 0;
  std::time_t seconds = utc || has_zone ? timegm(&parts) : moment_of_local(parts);
  if (has_zone) {
    const int quarters = (stamp.zone & 0x3f) - (stamp.zone & 0x40);
    seconds -= quarters * 15 * 60;
  }
  return {seconds, static_cast<uint32_t>(tens % 100) * kTenMilliseconds};
}

FatTime fat_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
}

}  // namespace splitring
