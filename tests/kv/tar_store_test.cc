#include "kv/tar_store.h"

#include <gtest/gtest.h>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using test::open_tar;
using test::OpenTar;
using test::TarBuilder;

TEST(TarStore, LinksShowWhatTheyLeadTo) {
  const OpenTar open = open_tar(TarBuilder()
                                    .member("dir/file", "bytes")
                                    .symlink("to-file", "dir/file")
                                    .symlink("to-dir", "dir")
                                    .hard_link("hard", "dir/file")
                                    .bytes());
  kv::TarStore store(*open.tar, *open.lane);
  EXPECT_EQ(store.get("to-file").value_or("<none>"), "bytes");
  EXPECT_EQ(store.get("to-dir/file").value_or("<none>"), "bytes");
  EXPECT_EQ(store.get("hard").value_or("<none>"), "bytes");
  EXPECT_TRUE((*store.find("to-file"))->is_link);
  EXPECT_TRUE((*store.find("to-dir"))->is_link);
  EXPECT_FALSE((*store.find("to-dir/file"))->is_link);
  EXPECT_FALSE((*store.find("hard"))->is_link);
}

TEST(TarStore, H1_LinksThatLeadNowhereOutOrInCirclesAreNotThere) {
  const OpenTar open = open_tar(TarBuilder()
                                    .symlink("nowhere", "missing")
                                    .symlink("out", "../../etc/passwd")
                                    .symlink("loop", "loop")
                                    .member("pipe", "", '6')
                                    .member("a/../up", "up")
                                    .member("file", "1")
                                    .bytes());
  kv::TarStore store(*open.tar, *open.lane);
  for (const char* key : {"nowhere", "out", "loop", "pipe"})
    EXPECT_EQ(store.exists(key).value(), std::nullopt) << key;
  std::string keys;
  ASSERT_TRUE(store.iter("", [&](const std::string& key, const auto&) {
    keys += key + " ";
    return true;
  }));
  EXPECT_EQ(keys, "file ");
}

TEST(TarStore, AWalkDoesNotFollowALinkBackUp) {
  const OpenTar open =
      open_tar(TarBuilder().member("dir/file", "1").symlink("dir/self", ".").bytes());
  kv::TarStore store(*open.tar, *open.lane);
  int values = 0;
  ASSERT_TRUE(store.iter("", [&](const auto&, const auto&) { return ++values < 100; }));
  EXPECT_EQ(values, 1);
  EXPECT_TRUE(store.digest(""));
}

TEST(TarStore, AValueSaysWhereItLiesOnTheDisk) {
  const std::string archive = TarBuilder().member("first", "12345").member("x", "67").bytes();
  const OpenTar open = open_tar(archive);
  kv::TarStore store(*open.tar, *open.lane);
  const auto value = *store.open("first");
  const auto piece = std::get<kv::OnDisk>(value->locate(2));
  EXPECT_EQ(archive.substr(piece.offset, piece.bytes), "345");
}

TEST(TarStore, ASparseValueLiesInPiecesWithHolesBetween) {
  const std::string archive =
      TarBuilder()
          .pax(TarBuilder::record("GNU.sparse.major", "1") +
               TarBuilder::record("GNU.sparse.minor", "0") +
               TarBuilder::record("GNU.sparse.name", "sparse") +
               TarBuilder::record("GNU.sparse.realsize", "3000"))
          .member("GNUSparseFile.0/sparse", "1\n1024\n3\n" + std::string(503, '\0') + "abc")
          .bytes();
  const OpenTar open = open_tar(archive);
  kv::TarStore store(*open.tar, *open.lane);
  const auto value = *store.open("sparse");
  EXPECT_EQ(std::get<kv::Zeroes>(value->locate(24)).bytes, 1000U);
  const auto piece = std::get<kv::OnDisk>(value->locate(1025));
  EXPECT_EQ(archive.substr(piece.offset, piece.bytes), "bc");
  EXPECT_EQ(std::get<kv::Zeroes>(value->locate(1027)).bytes, 1973U);
  EXPECT_EQ(*store.get("sparse"), std::string(1024, '\0') + "abc" + std::string(1973, '\0'));
}

TEST(TarStore, WithoutALaneItKnowsNamesOnly) {
  const OpenTar open = open_tar(TarBuilder().member("file", "12345").bytes());
  kv::TarStore store(*open.tar);
  EXPECT_EQ(*store.size("file"), 5U);
  EXPECT_EQ(store.get("file").error().code, Errc::kUnsupported);
}

TEST(TarStore, TimesAreTheHeadersAndUnknownWithoutOne) {
  const OpenTar open = open_tar(
      TarBuilder().pax(TarBuilder::record("mtime", "1234567890")).member("dir/file", "1").bytes());
  kv::TarStore store(*open.tar, *open.lane);
  EXPECT_EQ(store.last_modified("dir/file").value(), 1234567890);
  EXPECT_EQ(store.last_modified("dir").value(), std::nullopt);
}

TEST(TarStore, ADiskThatFailsIsAnErrorNotBytes) {
  const std::string archive = TarBuilder().member("file", std::string(5000, 'x')).bytes();
  auto disk = std::make_unique<test::TestDisk>(archive, kSectorSize,
                                               test::TestDisk::Faults{.failing_sector = 900});
  const auto lane = *disk->open_queue({});
  const auto tar = *TarFileSystem::open(*lane);
  auto broken = std::make_unique<test::TestDisk>(archive, kSectorSize,
                                                 test::TestDisk::Faults{.failing_sector = 5});
  const auto broken_lane = *broken->open_queue({});
  kv::TarStore store(*tar, *broken_lane);
  EXPECT_EQ(store.get("file").error().code, Errc::kIo);
  EXPECT_EQ(store.digest("file").error().code, Errc::kIo);
  const auto value = *store.open("file");
  kv::ValueStream stream(*value);
  EXPECT_FALSE(stream.next());
}

}  // namespace
}  // namespace splitring
