#include "base/endian.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace splitring {
namespace {

template <class T>
std::vector<uint8_t> bytes_of(const T& value) {
  std::vector<uint8_t> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

TEST(Endian, LittleEndianPutsTheLowByteFirst) {
  EXPECT_EQ(bytes_of(le16(0x1234)), (std::vector<uint8_t>{0x34, 0x12}));
  EXPECT_EQ(bytes_of(le32(0x12345678)), (std::vector<uint8_t>{0x78, 0x56, 0x34, 0x12}));
  EXPECT_EQ(bytes_of(le64(0x0102030405060708)), (std::vector<uint8_t>{8, 7, 6, 5, 4, 3, 2, 1}));
}

TEST(Endian, BigEndianPutsTheHighByteFirst) {
  EXPECT_EQ(bytes_of(be16(0x1234)), (std::vector<uint8_t>{0x12, 0x34}));
  EXPECT_EQ(bytes_of(be32(0x12345678)), (std::vector<uint8_t>{0x12, 0x34, 0x56, 0x78}));
  EXPECT_EQ(bytes_of(be64(0x0102030405060708)), (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Endian, EveryValueOf16BitsReadsAsItWasWritten) {
  for (uint32_t i = 0; i < 65536; i++) {
    const auto value = static_cast<uint16_t>(i);
    ASSERT_EQ(le16(value), value);
    ASSERT_EQ(be16(value), value);
  }
}

TEST(Endian, TheHighestBitSurvives) {
  EXPECT_EQ(le32(0x80000000), 0x80000000U);
  EXPECT_EQ(be32(0x80000000), 0x80000000U);
  EXPECT_EQ(le64(UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(be64(uint64_t{1} << 63), uint64_t{1} << 63);
}

TEST(Endian, ReadsAtAnyAddress) {
  const uint8_t bytes[] = {0xff, 1, 2, 3, 4, 0xff};
  le32 little;
  be32 big;
  std::memcpy(&little, bytes + 1, sizeof little);
  std::memcpy(&big, bytes + 1, sizeof big);
  EXPECT_EQ(little, 0x04030201U);
  EXPECT_EQ(big, 0x01020304U);
  EXPECT_EQ(alignof(be64), 1U);
  EXPECT_EQ(le32(), 0U);
}

}  // namespace
}  // namespace splitring
