#include "fs/tar/tar_pax.h"

#include <gtest/gtest.h>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

const auto record = test::TarBuilder::record;

std::optional<PaxFields> parse(std::string_view records) {
  PaxFields fields;
  if (!apply_pax_records(records, fields)) return std::nullopt;
  return fields;
}

TEST(TarPax, ReadsTheRecordsThatMatterAndPassesOverOthers) {
  const auto fields =
      parse(record("path", "a = b\nc") + record("linkpath", "l") + record("size", "8589934592") +
            record("mtime", "12.75") + record("SCHILY.xattr.user.x", std::string("\0\n", 2)));
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->path, "a = b\nc");
  EXPECT_EQ(fields->link_path, "l");
  EXPECT_EQ(fields->size, uint64_t{1} << 33);
  EXPECT_EQ(fields->mtime_s, 12);
  EXPECT_FALSE(fields->sparse);
}

TEST(TarPax, TimesBefore1970RoundDown) {
  EXPECT_EQ(parse(record("mtime", "-1.5"))->mtime_s, -2);
  EXPECT_EQ(parse(record("mtime", "-1.000"))->mtime_s, -1);
  EXPECT_EQ(parse(record("mtime", "-3"))->mtime_s, -3);
  EXPECT_EQ(parse(record("mtime", "5."))->mtime_s, 5);
}

TEST(TarPax, AnEmptyValueTakesTheEarlierOneBack) {
  PaxFields fields;
  ASSERT_TRUE(apply_pax_records(record("path", "global") + record("size", "7"), fields));
  ASSERT_TRUE(apply_pax_records(record("path", "") + record("size", ""), fields));
  EXPECT_FALSE(fields.path);
  EXPECT_FALSE(fields.size);
}

TEST(TarPax, TAR4_OfDuplicateKeysTheLastWins) {
  EXPECT_EQ(parse(record("path", "first") + record("path", "second"))->path, "second");
}

TEST(TarPax, TAR4_RefusesRecordsOfAWrongShape) {
  const std::string good = record("path", "x");
  for (const std::string& bad :
       {std::string("9 path=x"), std::string("10 path=x"), std::string("8 path=x\n"),
        std::string("11 path=x\n"), std::string("0 path=x\n"), std::string("5 x\n"),
        std::string("path=x\n"), std::string(" 10 path=x\n"), std::string("-9 path=x\n"),
        std::string("99999999999999999999999 path=x\n"), std::string("4 =\n"),
        std::string("6 =xy\n"), std::string("9\n"), std::string("1 "), std::string("\0\0", 2),
        good + "3", good + "x", good + std::string(1, '\0')})
    EXPECT_FALSE(parse(bad)) << bad;
  EXPECT_TRUE(parse(good));
  EXPECT_TRUE(parse(""));
}

TEST(TarPax, TAR4_RefusesSizesAndTimesThatAreNoNumbers) {
  for (const char* size : {"NaN", "-1", "1e9", " 1", "1 ", "0x10", "1.0", "9223372036854775808",
                           "99999999999999999999999999"})
    EXPECT_FALSE(parse(record("size", size))) << size;
  EXPECT_TRUE(parse(record("size", "9223372036854775807")));
  for (const char* time : {"NaN", "inf", "1e9", "--1", ".5", "1.5.5", "1.-5", "-",
                           "9223372036854775807", "99999999999999999999999999"})
    EXPECT_FALSE(parse(record("mtime", time))) << time;
}

TEST(TarPax, TimesKeepTheirFraction) {
  const auto ns = [](const char* time) { return parse(record("mtime", time))->mtime_ns; };
  EXPECT_EQ(ns("12.75"), 750'000'000U);
  EXPECT_EQ(ns("12.0000000019"), 1U) << "finer digits are dropped";
  EXPECT_EQ(ns("-1.25"), 750'000'000U) << "-2 seconds and this";
  EXPECT_EQ(ns("12"), 0U);
}

TEST(TarPax, OwnersBeyond32BitsAreNobody) {
  const auto fields = parse(record("uid", "4294967295") + record("gid", "4294967296"));
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->uid, 4294967295U);
  EXPECT_EQ(fields->gid, 0U);
  EXPECT_FALSE(parse(record("uid", "-1")));
}

TEST(TarPax, TAR5_SparseMapsOfBothOldFormatsAreTaken) {
  for (const std::string& records :
       {record("GNU.sparse.size", "100") + record("GNU.sparse.map", "10,5,50,7"),
        record("GNU.sparse.size", "100") + record("GNU.sparse.offset", "10") +
            record("GNU.sparse.numbytes", "5") + record("GNU.sparse.offset", "50") +
            record("GNU.sparse.numbytes", "7")}) {
    auto fields = parse(records);
    ASSERT_TRUE(fields && fields->sparse) << records;
    EXPECT_EQ(fields->sparse->size, 100U);
    const auto extents = std::move(fields->sparse->map).place(100, 512, 12);
    ASSERT_TRUE(extents);
    ASSERT_EQ(extents->size(), 2U);
    EXPECT_EQ((*extents)[1].first, 50U);
    EXPECT_EQ((*extents)[1].offset, 517U);
  }
}

TEST(TarPax, TAR5_RefusesMapsThatAreNone) {
  for (const char* map :
       {"9", "9,", "9,1,", "a,1", "1,-1", "5,5,9,1", "9,1,5,1", ",", "9223372036854775807,1"})
    EXPECT_FALSE(parse(record("GNU.sparse.map", map))) << map;
  EXPECT_FALSE(parse(record("GNU.sparse.numbytes", "1"))) << "no place for it";
}

}  // namespace
}  // namespace splitring
