// Sparse members, made by hand: what their maps may say, and what is refused. Those that tar
// programs make are in tar_oracle_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using test::open_tar;
using test::OpenTar;
using test::TarBuilder;
const auto record = TarBuilder::record;

// "00000000012" and a space: a field of a map.
std::string field(uint64_t number) {
  std::array<char, 13> text;
  std::snprintf(text.data(), text.size(), "%011llo ", static_cast<unsigned long long>(number));
  return text.data();
}

using Pairs = std::vector<std::pair<uint64_t, uint64_t>>;

std::string fields(const Pairs& map) {
  std::string text;
  for (const auto& [first, bytes] : map) text += field(first) + field(bytes);
  return text;
}

TarBuilder::Edit old_gnu(const Pairs& map, uint64_t real_size, bool continues = false) {
  return [=](TarWireHeader& header) {
    auto* bytes = reinterpret_cast<char*>(&header);
    std::copy_n("ustar  ", 8, header.magic.data());  // its NUL too
    const std::string text = fields(map);
    std::copy(text.begin(), text.end(), bytes + 386);
    bytes[482] = continues ? 1 : 0;
    std::copy_n(field(real_size).begin(), 12, bytes + 483);
  };
}

std::string map_block(const Pairs& map, bool continues) {
  std::string block = fields(map);
  block.resize(512, '\0');
  block[504] = continues ? 1 : 0;
  return block;
}

std::string sparse_records(const std::string& map, const std::string& size) {
  return record("GNU.sparse.size", size) + record("GNU.sparse.map", map);
}

std::string version_one(const std::string& size) {
  return record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
         record("GNU.sparse.name", "real name") + record("GNU.sparse.realsize", size);
}

const std::string kExpected = std::string(3, '\0') + "abcd" + std::string(5, '\0') + "ef" + '\0';

TEST(TarSparse, EveryFormatReadsTheSame) {
  const OpenTar open = open_tar(
      TarBuilder()
          .member("old", "abcdef", 'S', {}, old_gnu({{3, 4}, {12, 2}, {15, 0}}, 15))
          .pax(sparse_records("3,4,12,2", "15"))
          .member("pax 0", "abcdef")
          .pax(version_one("15"))
          .member("GNUSparseFile.0/x", "2\n3\n4\n12\n2\n" + std::string(501, '\0') + "abcdef")
          .member("next", "n")
          .bytes());
  for (const char* name : {"old", "pax 0", "real name"}) {
    EXPECT_EQ(open.contents(name), kExpected) << name;
    ASSERT_TRUE(open.tar->find(name));
    EXPECT_TRUE(open.tar->find(name)->sparse);
  }
  EXPECT_EQ(open.contents("next"), "n");
  EXPECT_EQ(open.tar->warning_count(), 0U);
}

TEST(TarSparse, MapsGoOnInBlocksBehindTheHeader) {
  TarBuilder archive;
  // The size field holds the stored bytes; the map's blocks come between header and body.
  const auto edit = old_gnu({{0, 1}, {2, 1}}, 100, true);
  archive.member("x", "", 'S', {}, [&](TarWireHeader& header) {
    edit(header);
    std::memcpy(header.size.data(), "00000000004", 11);
  });
  archive.raw(map_block({{4, 1}}, true)).raw(map_block({{99, 1}}, false)).raw("abcd");
  const OpenTar open = open_tar(archive.member("next", "n").bytes());
  std::string expected(100, '\0');
  expected[0] = 'a';
  expected[2] = 'b';
  expected[4] = 'c';
  expected[99] = 'd';
  EXPECT_EQ(open.contents("x"), expected);
  EXPECT_EQ(open.contents("next"), "n");
}

TEST(TarSparse, RunsTellDataFromHoles) {
  const OpenTar open =
      open_tar(TarBuilder().pax(sparse_records("3,4,12,2", "15")).member("x", "abcdef").bytes());
  const TarEntry file = *open.tar->find("x");
  const auto is = [&](uint64_t at, std::optional<uint64_t> offset, uint64_t bytes) {
    const TarRun run = run_at(file, at);
    return run.offset == offset && run.bytes == bytes;
  };
  const uint64_t body = file.offset;
  EXPECT_TRUE(is(0, std::nullopt, 3));
  EXPECT_TRUE(is(3, body, 4));
  EXPECT_TRUE(is(6, body + 3, 1));
  EXPECT_TRUE(is(7, std::nullopt, 5));
  EXPECT_TRUE(is(13, body + 5, 1));
  EXPECT_TRUE(is(14, std::nullopt, 1));
  EXPECT_TRUE(is(15, std::nullopt, 0));
}

TEST(TarSparse, AFileOfHolesOnlyTakesNoSpace) {
  const OpenTar open = open_tar(TarBuilder()
                                    .pax(record("GNU.sparse.size", "9000000000000"))
                                    .member("hole", "")
                                    .hard_link("again", "hole")
                                    .bytes());
  for (const char* name : {"hole", "again"}) {
    EXPECT_EQ(open.tar->find(name)->size, 9'000'000'000'000U);
    std::array<std::byte, 4> out{std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}};
    const auto got = open.tar->read(*open.lane, *open.tar->find(name), 8'999'999'999'998, out);
    EXPECT_EQ(got, 2U);
    EXPECT_EQ(out[0], std::byte{0});
  }
}

TEST(TarSparse, TAR5_MapsThatLieAreRefusedAndCostTheirMemberOnly) {
  const std::string pad(400, '\0');
  const OpenTar open =
      open_tar(TarBuilder()
                   .member("order", "abcd", 'S', {}, old_gnu({{12, 2}, {3, 2}}, 20))
                   .member("overlap", "abcd", 'S', {}, old_gnu({{3, 2}, {4, 2}}, 20))
                   .member("beyond", "abcd", 'S', {}, old_gnu({{19, 2}}, 20))
                   .member("more than body", "abcd", 'S', {}, old_gnu({{0, 5}}, 20))
                   .pax(sparse_records("0,9223372036854775807", "9223372036854775807"))
                   .member("huge", "abcd")
                   .pax(record("GNU.sparse.map", "0,4"))
                   .member("no size", "abcd")
                   .pax(version_one("15"))
                   .member("no map", "abcd")
                   .pax(version_one("15"))
                   .member("many", "99999999999999999\n" + pad)
                   .pax(version_one("15"))
                   .member("endless", "2\n3\n" + std::string(1000, '0'))
                   .pax(version_one("15"))
                   .member("letters", "x\n3\n4\n" + pad)
                   .pax(record("GNU.sparse.major", "2") + record("GNU.sparse.size", "4"))
                   .member("version 2", "abcd")
                   .member("next", "n")
                   .bytes());
  EXPECT_EQ(open.tar->file_count(), 1U);
  EXPECT_EQ(open.contents("next"), "n");
  EXPECT_EQ(open.tar->warning_count(), 11U);
}

TEST(TarSparse, TAR5_NoOtherSizeMakesAMapLeadOutOfTheDisk) {
  const std::string bytes =
      TarBuilder()
          .pax(record("size", "0"))
          .member("far", "", 'S', {},
                  [](TarWireHeader& header) {
                    old_gnu({{0, uint64_t{1} << 32}}, uint64_t{1} << 32)(header);
                    std::memcpy(header.size.data(), "40000000000", 11);
                  })
          .bytes();
  const OpenTar open = open_tar(bytes);
  EXPECT_FALSE(open.tar->find("far"));
  EXPECT_TRUE(open.warns_of("truncated"));
}

TEST(TarSparse, TAR5_EndlessMapsAndVolumeHeadersTakeBoundedTime) {
  auto endless = TarBuilder().member("endless", "", 'S', {}, old_gnu({}, 5, true));
  for (int i = 0; i < 1000; i++) endless.raw(map_block({}, true));
  EXPECT_EQ(open_tar(endless.bytes()).tar->file_count(), 1U) << "five bytes of hole";

  auto volumes = TarBuilder();
  for (int i = 0; i < 10'000; i++) volumes.member("label", "", 'V');
  EXPECT_EQ(open_tar(volumes.member("x", "1").bytes()).contents("x"), "1");
}

TEST(TarSparse, TAR8_ExtentsOfAllMembersTogetherAreBounded) {
  const std::string bytes = TarBuilder()
                                .pax(sparse_records("3,4,12,2", "15"))
                                .member("a", "abcdef")
                                .pax(sparse_records("3,4,12,2", "15"))
                                .member("b", "abcdef")
                                .bytes();
  test::TestDisk disk(bytes);
  const auto lane = std::move(*disk.open_queue({}));
  const auto tar = TarFileSystem::open(*lane, {.extents = 3});
  ASSERT_FALSE(tar);
  EXPECT_EQ(tar.error().code, Errc::kLimit);
}

}  // namespace
}  // namespace splitring
