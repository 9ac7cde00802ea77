// What an archive may hold, good and bad, and what the index makes of it.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using test::open_tar;
using test::OpenTar;
using test::TarBuilder;
using namespace std::string_view_literals;
const auto record = TarBuilder::record;

Result<std::unique_ptr<TarFileSystem>> try_open(std::string bytes, const TarLimits& limits = {}) {
  test::TestDisk disk(std::move(bytes));
  auto lane = std::move(*disk.open_queue({}));
  return TarFileSystem::open(*lane, limits);
}

TEST(TarScan, EndsAtTwoZeroBlocksOrWithTheDisk) {
  auto archive = TarBuilder().member("a", "1");
  EXPECT_EQ(open_tar(archive.bytes()).tar->warning_count(), 0U);
  archive.zero_blocks(2).member("behind", "2");
  const OpenTar open = open_tar(archive.bytes());
  EXPECT_EQ(open.contents("a"), "1");
  EXPECT_EQ(open.contents("behind"), "<none>");
  EXPECT_EQ(open.tar->warning_count(), 0U);
  EXPECT_EQ(open.tar->end().offset, 1024U);
}

TEST(TarScan, JoinedArchivesReadAsOneOnRequest) {
  const std::string bytes = TarBuilder()
                                .pax(record("mtime", "77"), 'g')
                                .member("a", "1")
                                .member("twin", "old")
                                .zero_blocks(7)
                                .member("twin", "new")
                                .zero_blocks(1)
                                .member("b", "2")
                                .zero_blocks(20)
                                .bytes();
  const OpenTar open = open_tar(bytes, kSectorSize, {.stop_at_end = false});
  EXPECT_EQ(open.contents("a"), "1");
  EXPECT_EQ(open.contents("b"), "2");
  EXPECT_EQ(open.contents("twin"), "new");
  EXPECT_EQ(open.tar->find("a")->mtime_s, 77);
  EXPECT_EQ(open.tar->find("b")->mtime_s, 1'000'000'000) << "a global header ends with its archive";
  EXPECT_EQ(open.tar->warning_count(), 0U);
}

TEST(TarScan, AnEmptyArchiveHasARootAndNothingInIt) {
  const OpenTar open = open_tar(std::string(10240, '\0'));
  ASSERT_TRUE(open.tar->find("/"));
  EXPECT_EQ(open.tar->find("/")->kind, TarKind::kDirectory);
  EXPECT_TRUE(open.tar->list("").empty());
}

TEST(TarScan, GlobalPaxHeadersHoldUntilALocalOneSpeaks) {
  const OpenTar open = open_tar(TarBuilder()
                                    .pax(record("mtime", "77"), 'g')
                                    .member("a", "")
                                    .pax(record("mtime", "88"))
                                    .member("b", "")
                                    .member("c", "")
                                    .bytes());
  EXPECT_EQ(open.tar->find("a")->mtime_s, 77);
  EXPECT_EQ(open.tar->find("b")->mtime_s, 88);
  EXPECT_EQ(open.tar->find("c")->mtime_s, 77);
}

TEST(TarScan, PaxSizesDecideWhereTheNextHeaderIs) {
  const std::string body(1000, 'b');
  const OpenTar open =
      open_tar(TarBuilder()
                   .pax(record("size", "1000"))
                   .member("a", body, '0', {}, [](TarWireHeader& h) { h.size.fill('\0'); })
                   .member("b", "2")
                   .bytes());
  EXPECT_EQ(open.contents("a"), body);
  EXPECT_EQ(open.contents("b"), "2");
}

TEST(TarScan, LongNamesAndLinksOfGnuNameTheNextMember) {
  const std::string name = std::string(150, 'd') + "/" + std::string(200, 'n');
  const std::string target(300, 't');
  const OpenTar open = open_tar(TarBuilder()
                                    .member("././@LongLink", target + '\0', 'K')
                                    .member("././@LongLink", name + '\0', 'L')
                                    .symlink("short", "short")
                                    .member("next", "n")
                                    .bytes());
  ASSERT_TRUE(open.tar->find(name));
  EXPECT_EQ(open.tar->find(name)->link, target);
  EXPECT_EQ(open.contents("next"), "n");
}

TEST(TarScan, OnlyFilesHaveABodyWhateverOtherSizesSay) {
  const auto lying_size = [](TarWireHeader& h) { std::memcpy(h.size.data(), "00000007777", 11); };
  auto archive = TarBuilder();
  for (const char type : {'1', '2', '3', '4', '5', '6'})
    archive.member(std::string("t") + type, "", type, "x", lying_size);
  const OpenTar open = open_tar(archive.member("last", "here").bytes());
  EXPECT_EQ(open.contents("last"), "here");
}

TEST(TarScan, ABodyIsSkippedNotRead) {
  constexpr size_t kLarge = size_t{16} << 20;
  const std::string large(kLarge, 'x');
  const OpenTar open = open_tar(TarBuilder()
                                    .member("one", large)
                                    .member("two", large)
                                    .member("last", "here")
                                    .zero_blocks(2)
                                    .bytes());
  EXPECT_EQ(open.contents("last"), "here");
  EXPECT_LT(open.disk->counts().bytes, kLarge / 64);
}

TEST(TarScan, SmallMembersAreReadInLargeRequestsSeveralInFlight) {
  auto archive = TarBuilder();
  for (int i = 0; i < 4000; i++) archive.member("f" + std::to_string(i), "body");
  const OpenTar open = open_tar(archive.bytes());
  EXPECT_EQ(open.tar->file_count(), 4000U);
  EXPECT_LT(open.disk->counts().reads, 40U) << "4 MB";
  EXPECT_EQ(open.disk->counts().most_in_flight, 4U);
}

TEST(TarScan, BlocksOf4096BytesAndALaneWithoutPoolWorkToo) {
  auto archive = TarBuilder();
  for (int i = 0; i < 500; i++)
    archive.member("f" + std::to_string(i), std::string(static_cast<size_t>(i) * 37, 'a'));
  const OpenTar open = open_tar(archive.bytes(), 4096);
  for (int i = 0; i < 500; i++)
    EXPECT_EQ(open.contents("f" + std::to_string(i)).size(), static_cast<size_t>(i) * 37);
  test::TestDisk poolless(archive.bytes(), 512, {.no_pool = true});
  const auto lane = std::move(*poolless.open_queue({}));
  const auto tar = TarFileSystem::open(*lane);
  ASSERT_TRUE(tar);
  EXPECT_EQ((*tar)->file_count(), 500U);
}

TEST(TarScan, AnErrorOfTheDiskIsAnError) {
  auto archive = TarBuilder();
  for (int i = 0; i < 3000; i++) archive.member("f" + std::to_string(i), "body");
  for (const uint64_t sector : {0, 1, 700, 5999}) {
    test::TestDisk disk(archive.bytes(), 512, {.failing_sector = sector});
    const auto lane = std::move(*disk.open_queue({}));
    const auto tar = TarFileSystem::open(*lane);
    ASSERT_FALSE(tar) << sector;
    EXPECT_EQ(tar.error().code, Errc::kIo);
  }
}

TEST(TarScan, WhatIsNoArchiveIsRefused) {
  for (const std::string& bytes : {std::string(5120, 'x'), std::string("<html>")}) {
    const auto tar = try_open(bytes);
    ASSERT_FALSE(tar);
    EXPECT_EQ(tar.error().code, Errc::kInvalid);
  }
  EXPECT_FALSE(try_open(""));
}

TEST(TarScan, TAR1_StopsAtTheLastGoodEntryAndReports) {
  const std::string good = TarBuilder().member("good", "1").bytes();
  std::string wrong_sum = good + TarBuilder().member("bad", "2").member("after", "3").bytes();
  wrong_sum[good.size()] = 'B';
  const OpenTar checksum = open_tar(wrong_sum);
  EXPECT_EQ(checksum.contents("good"), "1");
  EXPECT_EQ(checksum.contents("after"), "<none>");
  EXPECT_TRUE(checksum.warns_of("checksum")) << "and where";
  EXPECT_TRUE(checksum.warns_of("byte 1024"));

  const OpenTar lone_zero =
      open_tar(good + std::string(512, '\0') + TarBuilder().member("after", "3").bytes());
  EXPECT_EQ(lone_zero.contents("good"), "1");
  EXPECT_EQ(lone_zero.contents("after"), "<none>");
  EXPECT_TRUE(lone_zero.warns_of("lone zero block"));
}

TEST(TarScan, TAR1_EveryTruncationServesWhatIsWhole) {
  auto archive = TarBuilder();
  for (int i = 0; i < 4; i++) archive.member("f" + std::to_string(i), std::string(700, 'a'));
  archive.pax(record("path", "long")).member("x", "1");
  for (size_t length = 512; length <= archive.bytes().size(); length += 512) {
    const OpenTar open = open_tar(archive.bytes().substr(0, length));
    ASSERT_TRUE(open.tar);
    const size_t whole = std::min<size_t>(length / 1536, 4) + (length == archive.bytes().size());
    EXPECT_EQ(open.tar->file_count(), whole) << length;
    const bool between = length % 1536 == 0 && length <= 4 * 1536U;
    EXPECT_EQ(open.tar->warning_count(), between || whole == 5 ? 0U : 1U) << length;
  }
}

TEST(TarScan, TAR2_ASizeThatIsNoneStopsTheReading) {
  for (const auto size : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv,
                          "\x80\0\0\0\x80\0\0\0\0\0\0\0"sv, "zzzzzzzzzzz\0"sv}) {
    const OpenTar open =
        open_tar(TarBuilder()
                     .member("good", "1")
                     .member("bad", "", '0', {},
                             [&](TarWireHeader& h) { std::memcpy(h.size.data(), size.data(), 12); })
                     .member("after", "3")
                     .bytes());
    EXPECT_EQ(open.contents("good"), "1");
    EXPECT_EQ(open.contents("after"), "<none>");
    EXPECT_TRUE(open.warns_of("size"));
  }
  // A number, but more than the disk has: 2^62.
  const OpenTar open =
      open_tar(TarBuilder()
                   .member("good", "1")
                   .member("bad", "", '0', {},
                           [&](TarWireHeader& h) {
                             std::memcpy(h.size.data(), "\x80\0\0\0\x40\0\0\0\0\0\0\0", 12);
                           })
                   .bytes());
  EXPECT_EQ(open.contents("good"), "1");
  EXPECT_TRUE(open.warns_of("truncated"));
}

TEST(TarScan, TAR3_LongNamesHaveACap) {
  for (const char type : {'L', 'K', 'x'}) {
    const OpenTar open = open_tar(TarBuilder()
                                      .member("meta", std::string(2 << 20, 'n'), type)
                                      .symlink("victim", "v")
                                      .member("next", "n")
                                      .bytes());
    EXPECT_FALSE(open.tar->find("victim")) << type;
    EXPECT_TRUE(open.warns_of("too long"));
    EXPECT_EQ(open.contents("next"), "n");
    EXPECT_LT(open.disk->counts().bytes, 1U << 20);
  }
  const OpenTar huge = open_tar(
      TarBuilder()
          .member("good", "1")
          .member("meta", "", 'L', {},
                  [](TarWireHeader& h) {
                    std::memcpy(h.size.data(), "\x80\0\0\0\0\0\x01\0\0\0\0\0", 12);  // 2^40
                  })
          .bytes());
  EXPECT_EQ(huge.contents("good"), "1");
  EXPECT_TRUE(huge.warns_of("truncated"));
}

TEST(TarScan, TAR3_LongNameWithoutItsMemberIsReported) {
  const OpenTar open =
      open_tar(TarBuilder().member("a", "1").member("meta", "name", 'L').zero_blocks(2).bytes());
  EXPECT_EQ(open.contents("a"), "1");
  EXPECT_EQ(open.tar->file_count(), 1U);
}

TEST(TarScan, TAR3_AChainOfLongNamesEndsWithTheLast) {
  auto archive = TarBuilder();
  for (int i = 0; i < 10'000; i++) archive.member("meta", "name" + std::to_string(i), 'L');
  const OpenTar open = open_tar(archive.member("short", "1").bytes());
  EXPECT_EQ(open.contents("name9999"), "1");
  EXPECT_EQ(open.tar->file_count(), 1U);
}

TEST(TarScan, TAR4_ABadRecordCostsItsEntryOnly) {
  const OpenTar open = open_tar(TarBuilder()
                                    .pax("99 path=evil\n")
                                    .member("victim", "v")
                                    .member("next", "n")
                                    .pax("bad", 'g')
                                    .member("last", "l")
                                    .bytes());
  EXPECT_EQ(open.contents("victim"), "<none>");
  EXPECT_EQ(open.contents("next"), "n");
  EXPECT_EQ(open.contents("last"), "l");
  EXPECT_EQ(open.tar->warning_count(), 2U);
}

TEST(TarScan, TAR6_NamesAreKeysAndNothingElse) {
  const std::string longest = std::string(155, 'p') + "/" + std::string(100, 'n');
  const OpenTar open = open_tar(TarBuilder()
                                    .member("../../etc/passwd", "dots")
                                    .member("/etc/shadow", "absolute")
                                    .member("./a//b/./c", "spelt badly")
                                    .member("\xff\xfe", "not UTF-8")
                                    .member("Twin", "upper")
                                    .member("twin", "lower")
                                    .pax(record("path", "nul\0inside"sv))
                                    .member("x", "NUL")
                                    .member(std::string(100, 'n'), "long", '0', {},
                                            [](TarWireHeader& h) { h.prefix.fill('p'); })
                                    .member("", "nameless")
                                    .member("last", "l")
                                    .bytes());
  EXPECT_EQ(open.contents("../../etc/passwd"), "dots");
  EXPECT_EQ(open.contents("etc/passwd"), "<none>");
  EXPECT_EQ(open.contents("etc/shadow"), "absolute");
  EXPECT_EQ(open.contents("a/b/c"), "spelt badly");
  EXPECT_EQ(open.contents("\xff\xfe"), "not UTF-8");
  EXPECT_EQ(open.contents("Twin"), "upper");
  EXPECT_EQ(open.contents("twin"), "lower");
  EXPECT_EQ(open.contents("nul\0inside"sv), "NUL");
  EXPECT_EQ(open.contents("nul"), "<none>");
  EXPECT_EQ(open.contents(longest), "long");
  EXPECT_EQ(open.contents("last"), "l");
  EXPECT_EQ(open.tar->warning_count(), 1U) << "the empty name";
}

TEST(TarScan, TAR6_OfDuplicatesTheLastWins) {
  const OpenTar open = open_tar(TarBuilder()
                                    .member("a", "first")
                                    .member("./a", "second")
                                    .member("both", "file")
                                    .directory("both/")
                                    .directory("dir")
                                    .member("dir/inside", "still here")
                                    .member("dir", "now a file")
                                    .bytes());
  EXPECT_EQ(open.contents("a"), "second");
  EXPECT_EQ(open.tar->find("both")->kind, TarKind::kDirectory);
  EXPECT_EQ(open.contents("dir"), "now a file");
  EXPECT_EQ(open.contents("dir/inside"), "still here");
  EXPECT_EQ(open.tar->list("").size(), 3U);
}

TEST(TarScan, TAR6_DepthAndLengthOfANameHaveACap) {
  std::string deep;
  for (size_t i = 0; i < kMaxTarPathDepth; i++) deep += "d/";
  const std::string wide = std::string(kMaxTarPathBytes, 'w');
  const OpenTar open = open_tar(TarBuilder()
                                    .pax(record("path", deep + "x"))
                                    .member("too deep", "1")
                                    .pax(record("path", deep))
                                    .member("deep", "2")
                                    .pax(record("path", wide + "w"))
                                    .member("too long", "3")
                                    .pax(record("path", wide))
                                    .member("long", "4")
                                    .bytes());
  EXPECT_FALSE(open.tar->find(deep + "x"));
  EXPECT_TRUE(open.tar->find(deep));
  EXPECT_EQ(open.contents(wide), "4");
  EXPECT_EQ(open.tar->warning_count(), 2U);
}

TEST(TarScan, TAR7_HardLinksReadWhatTheyNameInAnyOrder) {
  const OpenTar open = open_tar(TarBuilder()
                                    .hard_link("early", "./file")
                                    .hard_link("through", "early")
                                    .member("file", "content")
                                    .hard_link("late", "/file")
                                    .hard_link("missing", "nowhere")
                                    .hard_link("loop1", "loop2")
                                    .hard_link("loop2", "loop1")
                                    .hard_link("self", "self")
                                    .bytes());
  for (const char* name : {"early", "through", "late", "file"})
    EXPECT_EQ(open.contents(name), "content") << name;
  for (const char* name : {"missing", "loop1", "loop2", "self"}) {
    ASSERT_TRUE(open.tar->find(name)) << name;
    EXPECT_EQ(open.tar->find(name)->kind, TarKind::kHardLink) << name;
    EXPECT_EQ(open.contents(name), "<none>") << name;
  }
  EXPECT_EQ(open.tar->warning_count(), 4U);
}

TEST(TarScan, TAR7_AHardLinkKeepsWhatItsNameMeantThen) {
  const OpenTar open = open_tar(
      TarBuilder().member("log", "old").hard_link("log.1", "log").member("log", "new").bytes());
  EXPECT_EQ(open.contents("log"), "new");
  EXPECT_EQ(open.contents("log.1"), "old");
}

TEST(TarScan, TAR7_SymbolicLinksAreFollowedInsideTheArchiveOnly) {
  const OpenTar open = open_tar(TarBuilder()
                                    .member("real/deep/file", "content")
                                    .symlink("dir", "real/deep")
                                    .symlink("real/up", "../real/deep/file")
                                    .symlink("absolute", "/real/deep/file")
                                    .symlink("chain", "dir/../up")
                                    .symlink("out", "../etc/passwd")
                                    .symlink("far", "/../../etc/passwd")
                                    .symlink("loop", "loop2")
                                    .symlink("loop2", "loop")
                                    .symlink("grow", "grow/x")
                                    .symlink("dangling", "nowhere")
                                    .hard_link("hard", "dir")
                                    .bytes());
  for (const char* name :
       {"dir/file", "real/up", "absolute", "chain", "hard/file", "/dir/./file", "dir//file"}) {
    const auto entry = open.tar->resolve(name);
    ASSERT_TRUE(entry) << name;
    EXPECT_EQ(entry->path, "real/deep/file") << name;
  }
  EXPECT_EQ(open.tar->resolve("dir/")->path, "real/deep");
  EXPECT_EQ(open.tar->resolve("")->path, "");
  for (const char* name : {"out", "far", "loop", "loop/x", "grow", "dangling", "dangling/x",
                           "real/../dir/file", "../dir/file", "real/deep/file/x"})
    EXPECT_FALSE(open.tar->resolve(name)) << name;
}

TEST(TarScan, TAR7_DevicesAndSetuidAreNamedNeverOpened) {
  const OpenTar open = open_tar(
      TarBuilder()
          .member("null", "", '3', {},
                  [](TarWireHeader& h) { std::memcpy(h.device_major.data(), "0000001", 7); })
          .member("disk", "", '4')
          .member("pipe", "", '6')
          .member("su", "x", '0', {},
                  [](TarWireHeader& h) { std::memcpy(h.mode.data(), "0104755", 7); })
          .bytes());
  for (const char* name : {"null", "disk", "pipe"}) {
    ASSERT_TRUE(open.tar->find(name));
    EXPECT_EQ(open.tar->find(name)->kind, TarKind::kSpecial);
    EXPECT_FALSE(open.tar->read(*open.lane, *open.tar->find(name), 0, {}));
  }
  EXPECT_EQ(open.tar->find("su")->mode, 04755);
}

TEST(TarScan, TAR8_TheIndexIsBounded) {
  auto archive = TarBuilder();
  for (int i = 0; i < 1000; i++) archive.member("d/f" + std::to_string(i), "");
  EXPECT_TRUE(try_open(archive.bytes(), {.entries = 1002, .name_bytes = 1 << 20}));
  const auto entries = try_open(archive.bytes(), {.entries = 1001, .name_bytes = 1 << 20});
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().code, Errc::kLimit);
  const auto names = try_open(archive.bytes(), {.entries = 2000, .name_bytes = 4000});
  ASSERT_FALSE(names);
  EXPECT_EQ(names.error().code, Errc::kLimit);
}

TEST(TarScan, TAR8_NotesOfAHostileArchiveAreBounded) {
  auto archive = TarBuilder();
  for (int i = 0; i < 10'000; i++) archive.member("", "");
  const OpenTar open = open_tar(archive.member("x", "1").bytes());
  EXPECT_EQ(open.tar->warning_count(), 10'000U);
  EXPECT_EQ(open.tar->warnings().size(), TarNotes::kKept);
}

TEST(TarScan, NamesInNotesArePrintable) {
  EXPECT_EQ(printable_name("a\x1b[31m\n\xff"), "a\\x1b[31m\\x0a\\xff");
  EXPECT_LT(printable_name(std::string(5000, 'n')).size(), 300U);
}

}  // namespace
}  // namespace splitring
