#include "fs/tar/tar_header.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using test::TarBuilder;
using namespace std::string_view_literals;

TarBlock first_block(const std::string& bytes) {
  return TarBlock(std::as_bytes(std::span(bytes)).first<kTarBlockBytes>());
}

// The same header with its checksum taken over signed bytes, as some old programs did.
std::string with_signed_checksum(std::string bytes) {
  int sum = 0;
  for (size_t i = 0; i < kTarBlockBytes; i++)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<signed char>(bytes[i]);
  std::snprintf(bytes.data() + 148, 8, "%06o", static_cast<unsigned>(sum));
  bytes[155] = ' ';
  return bytes;
}

TEST(TarHeader, ReadsEveryFieldThatTheIndexNeeds) {
  const auto archive = TarBuilder().member("a/b", "12345", '0', "elsewhere");
  const auto header = parse_tar_header(first_block(archive.bytes()));
  ASSERT_TRUE(header) << header.error().what;
  EXPECT_EQ(header->name, "a/b");
  EXPECT_EQ(header->link_name, "elsewhere");
  EXPECT_EQ(header->type, '0');
  EXPECT_EQ(header->size, 5U);
  EXPECT_EQ(header->mtime_s, 1'000'000'000);
  EXPECT_EQ(header->mode, 0644);
}

TEST(TarHeader, FieldsFilledToTheirEndNeedNoTerminator) {
  const std::string name(100, 'n');
  const auto archive =
      TarBuilder().member(name, "", '0', {}, [](TarWireHeader& h) { h.prefix.fill('p'); });
  const auto header = parse_tar_header(first_block(archive.bytes()));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->name, name);
  EXPECT_EQ(header->prefix, std::string(155, 'p'));
}

TEST(TarHeader, OldGnuArchivesHaveNoPrefix) {
  const auto archive = TarBuilder().member("n", "", '0', {}, [](TarWireHeader& h) {
    std::memcpy(h.magic.data(), "ustar  ", 8);
    h.prefix.fill('7');
  });
  const auto header = parse_tar_header(first_block(archive.bytes()));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->prefix, "");
}

TEST(TarHeader, TAR1_RefusesAWrongChecksumAndTakesBothSums) {
  std::string plain = TarBuilder().member("caf\xc3\xa9", "x").bytes();
  EXPECT_TRUE(parse_tar_header(first_block(plain)));
  EXPECT_TRUE(parse_tar_header(first_block(with_signed_checksum(plain))));
  for (const size_t place : {size_t{0}, size_t{130}, size_t{148}, size_t{511}}) {
    std::string broken = plain;
    broken[place] = static_cast<char>(broken[place] ^ 0x04);
    EXPECT_FALSE(parse_tar_header(first_block(broken))) << "byte " << place;
  }
}

TEST(TarHeader, TAR2_NumbersAreBoundedAndStrict) {
  EXPECT_EQ(parse_tar_number("0000644\0"sv), 0644);
  EXPECT_EQ(parse_tar_number("     644 \0\0"sv), 0644);
  EXPECT_EQ(parse_tar_number("777777777777"sv), 0777777777777) << "no terminator";
  EXPECT_EQ(parse_tar_number("           \0"sv), 0) << "the eleven spaces of some V7 times";
  EXPECT_EQ(parse_tar_number("\0\0\0\0"sv), 0);
  EXPECT_EQ(parse_tar_number("12 garbage"sv), 012) << "what follows the terminator is free";
  for (const auto bad : {"12x"sv, "8"sv, "-1"sv, "0x10"sv, "+7"sv, ""sv, "1.5"sv})
    EXPECT_FALSE(parse_tar_number(bad)) << bad;
}

TEST(TarHeader, TAR2_Base256IsBoundedTo63Bits) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(parse_tar_number("\x80\0\0\0\0\0\0\0\0\0\0\x05"sv), 5);
  EXPECT_EQ(parse_tar_number("\x80\0\0\0\0\0\0\x02\0\0\0\0"sv), int64_t{1} << 33);
  EXPECT_EQ(parse_tar_number("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"sv), kMost);
  EXPECT_FALSE(parse_tar_number("\x80\0\0\0\x80\0\0\0\0\0\0\0"sv)) << "2^63";
  EXPECT_FALSE(parse_tar_number("\x80\0\x01\0\0\0\0\0\0\0\0\0"sv)) << "2^72";
  EXPECT_FALSE(parse_tar_number("\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv));
  EXPECT_EQ(parse_tar_number("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv), -1);
  EXPECT_EQ(parse_tar_number("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"sv), -kMost - 1);
  EXPECT_FALSE(parse_tar_number("\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"sv));
}

TEST(TarHeader, TAR2_RefusesSizesThatAreNone) {
  const auto parse_with_size = [](std::string_view size) {
    const auto archive = TarBuilder().member("n", "", '0', {}, [&](TarWireHeader& h) {
      h.size.fill('\0');
      std::memcpy(h.size.data(), size.data(), size.size());
    });
    return parse_tar_header(first_block(archive.bytes()));
  };
  EXPECT_TRUE(parse_with_size("00000000001"));
  EXPECT_FALSE(parse_with_size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv)) << "-1";
  EXPECT_FALSE(parse_with_size("\x80\0\0\0\x80\0\0\0\0\0\0\0"sv)) << "2^63";
  EXPECT_FALSE(parse_with_size("9"));
  EXPECT_FALSE(parse_with_size("onehundred"));
}

TEST(TarHeader, AnUnreadableTimeOrModeDoesNoHarm) {
  const auto archive = TarBuilder().member("n", "", '0', {}, [](TarWireHeader& h) {
    h.mtime.fill('z');
    h.mode.fill('9');
  });
  const auto header = parse_tar_header(first_block(archive.bytes()));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->mtime_s, 0);
  EXPECT_EQ(header->mode, 0);
}

TEST(TarHeader, ZeroBlocksAreZeroInEveryByte) {
  std::string block(kTarBlockBytes, '\0');
  EXPECT_TRUE(is_zero_block(first_block(block)));
  for (size_t i = 0; i < kTarBlockBytes; i++) {
    block[i] = 1;
    EXPECT_FALSE(is_zero_block(first_block(block))) << i;
    block[i] = 0;
  }
}

}  // namespace
}  // namespace splitring
