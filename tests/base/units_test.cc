#include "base/units.h"

#include <gtest/gtest.h>

#include <array>

namespace splitring {
namespace {

__extension__ using Wide = unsigned __int128;

TEST(Units, InRangeAgreesWith128BitArithmeticAtEveryEdge) {
  std::array<uint64_t, 15> edges = {0, 1, 2, 7, 8, 9, 511, 512, 513};
  edges[9] = (uint64_t{1} << 63) - 1;
  edges[10] = uint64_t{1} << 63;
  edges[11] = UINT64_MAX / 512;
  edges[12] = UINT64_MAX - 8;
  edges[13] = UINT64_MAX - 1;
  edges[14] = UINT64_MAX;
  for (const uint64_t first : edges)
    for (const uint64_t count : edges)
      for (const uint64_t total : edges)
        ASSERT_EQ(in_range(first, count, total), Wide{first} + count <= total)
            << first << " + " << count << " in " << total;
}

TEST(Units, ASectorIs512Bytes) {
  EXPECT_EQ(Sectors{3}.bytes(), 1536U);
  EXPECT_EQ(Sectors::from_bytes(1535), Sectors{2});
  EXPECT_EQ(Sectors::from_bytes(1536), Sectors{3});
  EXPECT_EQ(kSectorsPerPage, 8U);
  EXPECT_LT(Sectors{2}, Sectors{3});
  EXPECT_EQ(Sectors{2} + Sectors{3} - Sectors{1}, Sectors{4});
}

TEST(Units, APowerOfTwoHasOneBit) {
  for (uint64_t n = 0; n < 5000; n++) {
    int bits = 0;
    for (uint64_t rest = n; rest != 0; rest /= 2) bits += rest % 2 == 1 ? 1 : 0;
    ASSERT_EQ(is_power_of_two(n), bits == 1) << n;
  }
  EXPECT_TRUE(is_power_of_two(uint64_t{1} << 63));
  EXPECT_FALSE(is_power_of_two(UINT64_MAX));
}

TEST(Units, RoundingUpGivesTheNextMultiple) {
  for (uint64_t unit = 1; unit < 40; unit++)
    for (uint64_t n = 0; n < 200; n++) {
      const uint64_t rounded = round_up(n, unit);
      ASSERT_TRUE(rounded % unit == 0 && rounded >= n && rounded - n < unit) << n << ' ' << unit;
    }
}

}  // namespace
}  // namespace splitring
