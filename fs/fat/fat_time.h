// FAT's dates and times: days since 1980 as year, month and day, seconds in pairs.
#pragma once

#include <cstdint>

#include "fs/fat/fat_types.h"

namespace splitring {

inline constexpr uint8_t kFatZoneKnown = 0x80;

struct FatStamp {
  uint16_t date = 0;  // 0: none
  uint16_t time = 0;
  uint8_t tens_of_ms = 0;  // 0 to 199, on top of `time`
  // 0: local time, wherever that is. Else 0x80 and the distance from UTC in quarters of an hour, a
  // signed number of seven bits (exFAT).
  uint8_t zone = 0;
  bool operator==(const FatStamp&) const = default;
};

// Clamped to 1980 to 2107, rounded down. `utc` false: to the local time of the process's time zone.
[[nodiscard]] FatStamp fat_stamp(const FatTime& time, bool utc);
// A date or time that is none (month 0, hour 31) reads as the nearest that is; no date as 1970.
[[nodiscard]] FatTime fat_time(const FatStamp& stamp, bool utc);
[[nodiscard]] FatTime fat_now();

}  // namespace splitring
