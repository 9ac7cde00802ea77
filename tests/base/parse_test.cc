#include "base/parse.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace splitring {
namespace {

TEST(ParseDecimal, TakesDigitsOnly) {
  EXPECT_EQ(parse_decimal("0"), 0U);
  EXPECT_EQ(parse_decimal("42"), 42U);
  EXPECT_EQ(parse_decimal("007"), 7U);
  for (const char* text :
       {"", " ", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0", "1_0", "1\n", "/", ":", "abc", "１"})
    EXPECT_EQ(parse_decimal(text), std::nullopt) << '"' << text << '"';
  EXPECT_EQ(parse_decimal(std::string_view("1\0", 2)), std::nullopt);
}

TEST(ParseDecimal, StopsExactlyAtTheMaximum) {
  EXPECT_EQ(parse_decimal("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_decimal("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_decimal("18446744073709551620"), std::nullopt);
  EXPECT_EQ(parse_decimal("99999999999999999999999999999999999999999"), std::nullopt);
  EXPECT_EQ(parse_decimal("0", 0), 0U);
  EXPECT_EQ(parse_decimal("1", 0), std::nullopt);
  for (uint64_t max = 0; max < 300; max++)
    for (uint64_t value = 0; value < 400; value++)
      ASSERT_EQ(parse_decimal(std::to_string(value), max).has_value(), value <= max)
          << value << " of " << max;
}

TEST(ParseSize, UnderstandsPowersOf1024) {
  const std::vector<std::pair<const char*, uint64_t>> sizes = {
      {"0", 0},
      {"512", 512},
      {"512B", 512},
      {"64K", 64 << 10},
      {"64k", 64 << 10},
      {"64KB", 64 << 10},
      {"64KiB", 64 << 10},
      {"3M", 3 << 20},
      {"2G", uint64_t{2} << 30},
      {"1T", uint64_t{1} << 40},
      {"16777215T", uint64_t{16777215} << 40},
      {"18446744073709551615", UINT64_MAX},
  };
  for (const auto& [text, bytes] : sizes) {
    const auto size = parse_size(text);
    ASSERT_TRUE(size) << text;
    EXPECT_EQ(*size, bytes) << text;
  }
}

TEST(ParseSize, RefusesWhatIsNoSizeOrTooLarge) {
  for (const char* text : {"", "K", "-1K", "1.5G", "1 K", "1KK", "1Ki", "1KiBs", "1b", "1X", "1P",
                           "16777216T", "18446744073709551616", "0x10", " 1"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << '"' << text << '"';
    EXPECT_EQ(size.error().code, Errc::kInvalid);
    EXPECT_NE(size.error().what.find(text), std::string::npos);
  }
}

TEST(FormatBytes, UsesTheLargestUnitThatFits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1 KiB");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(1048575), "1.0 MiB");
  EXPECT_EQ(format_bytes(64 << 20), "64 MiB");
  EXPECT_EQ(format_bytes(uint64_t{5} << 40), "5 TiB");
  EXPECT_EQ(format_bytes(uint64_t{2048} << 40), "2048 TiB");
}

}  // namespace
}  // namespace splitring
