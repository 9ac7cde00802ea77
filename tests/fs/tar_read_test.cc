#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "fs/disk_bytes.h"
#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using test::open_tar;
using test::OpenTar;
using test::TarBuilder;

std::string pattern(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::string read_at(const OpenTar& open, std::string_view path, uint64_t offset, size_t bytes) {
  std::string text(bytes, '\0');
  const auto got = open.tar->read(*open.lane, *open.tar->find(path), offset,
                                  std::as_writable_bytes(std::span(text)));
  EXPECT_TRUE(got) << got.error().what;
  text.resize(got ? *got : 0);
  return text;
}

TEST(TarRead, AnyRangeOfAFileReadsItsBytes) {
  const uint32_t seed = std::random_device()();
  RecordProperty("seed", static_cast<int>(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string body = pattern(3'000'000, seed);
  for (const uint32_t block_bytes : {512U, 4096U}) {
    const OpenTar open =
        open_tar(TarBuilder().member("x", "1").member("file", body).bytes(), block_bytes);
    for (int i = 0; i < 300; i++) {
      const uint64_t offset = random() % (body.size() + 5000);
      const size_t bytes = random() % (i % 10 == 0 ? body.size() : 10'000);
      const std::string expected =
          offset >= body.size() ? std::string() : body.substr(offset, bytes);
      ASSERT_EQ(read_at(open, "file", offset, bytes), expected) << offset << "+" << bytes;
    }
  }
}

TEST(TarRead, ASmallFileIsOneRequest) {
  const OpenTar open = open_tar(TarBuilder().member("file", std::string(10'000, 'x')).bytes());
  const uint64_t before = open.disk->counts().reads;
  read_at(open, "file", 0, 10'000);
  read_at(open, "file", 777, 3000);
  EXPECT_EQ(open.disk->counts().reads, before + 2);
}

TEST(TarRead, BeyondTheEndOfAFileIsNothing) {
  const OpenTar open = open_tar(TarBuilder().member("file", "12345").member("b", "6").bytes());
  EXPECT_EQ(read_at(open, "file", 3, 100), "45");
  EXPECT_EQ(read_at(open, "file", 5, 100), "");
  EXPECT_EQ(read_at(open, "file", UINT64_MAX, 100), "");
}

TEST(TarRead, DirectoriesListWhatTheyHoldByName) {
  const OpenTar open = open_tar(TarBuilder()
                                    .member("b/2", "")
                                    .member("a", "")
                                    .member("b/1/deep", "")
                                    .directory("b")
                                    .directory("empty/")
                                    .bytes());
  const auto names = [&](std::string_view directory) {
    std::string text;
    for (const TarEntry& entry : open.tar->list(directory))
      text += std::string(entry.base_name()) + (entry.kind == TarKind::kDirectory ? "/ " : " ");
    return text;
  };
  EXPECT_EQ(names(""), "a b/ empty/ ");
  EXPECT_EQ(names("/b/"), "1/ 2 ");
  EXPECT_EQ(names("b/1"), "deep ");
  EXPECT_EQ(names("empty"), "");
  EXPECT_EQ(names("nowhere"), "");
  EXPECT_TRUE(open.tar->find("b/1")->implied);
  EXPECT_FALSE(open.tar->find("b")->implied);
  EXPECT_EQ(open.tar->find("b")->mtime_s, 1'000'000'000);
}

TEST(TarRead, EveryEntryHasANumberTheRootAndImpliedDirectoriesToo) {
  const OpenTar open = open_tar(TarBuilder().member("a/b/c", "1").member("d", "2").bytes());
  ASSERT_EQ(open.tar->entry_count(), 5U);
  EXPECT_EQ(open.tar->entry(0).path, "");
  for (uint32_t number = 1; number < 5; number++) {
    const TarEntry entry = open.tar->entry(number);
    EXPECT_EQ(entry.number, number);
    EXPECT_EQ(open.tar->find(entry.path)->number, number);
  }
  EXPECT_EQ(open.tar->entry(5).path, "");
}

TEST(TarRead, ThreadsShareTheIndexEachWithItsLane) {
  auto archive = TarBuilder();
  for (int i = 0; i < 200; i++) archive.member("f" + std::to_string(i), std::to_string(i));
  const OpenTar open = open_tar(archive.bytes());
  std::vector<std::unique_ptr<test::TestDisk>> disks;
  for (int i = 0; i < 3; i++) disks.push_back(std::make_unique<test::TestDisk>(archive.bytes()));
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (auto& disk : disks)
    threads.emplace_back([&] {
      const auto lane = std::move(*disk->open_queue({}));
      for (int i = 0; i < 200; i++) {
        const auto entry = open.tar->resolve("f" + std::to_string(i));
        std::string text(entry->size, '\0');
        if (open.tar->read(*lane, *entry, 0, std::as_writable_bytes(std::span(text))) &&
            text == std::to_string(i))
          good++;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 600);
}

TEST(DiskBytes, RefusesRangesBeyondTheDiskWithoutOverflow) {
  test::TestDisk disk(std::string(4096, 'x'));
  const auto lane = std::move(*disk.open_queue({}));
  std::array<std::byte, 16> out;
  EXPECT_TRUE(read_disk_bytes(*lane, 4080, out));
  EXPECT_FALSE(read_disk_bytes(*lane, 4081, out));
  EXPECT_FALSE(read_disk_bytes(*lane, UINT64_MAX - 3, out));
  EXPECT_TRUE(read_disk_bytes(*lane, 4096, {}));
}

TEST(DiskBytes, TellsOfAFailedRead) {
  test::TestDisk disk(std::string(4 << 20, 'x'), 512, {.failing_sector = 100});
  const auto lane = std::move(*disk.open_queue({}));
  std::string out(3 << 20, '\0');
  EXPECT_FALSE(read_disk_bytes(*lane, 51'201, std::as_writable_bytes(std::span(out)).first(10)));
  EXPECT_FALSE(read_disk_bytes(*lane, 7, std::as_writable_bytes(std::span(out))));
  EXPECT_TRUE(read_disk_bytes(*lane, 52'000, std::as_writable_bytes(std::span(out))));
}

TEST(DiskBytes, ManyRangesComeAtOnceAndEachWhereItBelongs) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::string content(6 << 20, '\0');
  for (char& byte : content) byte = static_cast<char>(random());
  for (const uint32_t block : {512U, 4096U}) {
    test::TestDisk disk(content, block);
    const auto lane = std::move(*disk.open_queue({}));
    std::vector<std::string> arrived;
    std::vector<DiskRange> ranges;
    for (const size_t most : {1U, 700U, 9000U, 300'000U, 3'000'000U})
      for (int i = 0; i < 20; i++) arrived.emplace_back(random() % most, '\0');
    for (std::string& out : arrived)
      ranges.push_back(
          {random() % (content.size() - out.size()), std::as_writable_bytes(std::span(out))});
    ASSERT_TRUE(read_disk_ranges(*lane, ranges));
    for (size_t i = 0; i < ranges.size(); i++)
      ASSERT_EQ(arrived[i], content.substr(ranges[i].offset, arrived[i].size())) << i;
    EXPECT_EQ(disk.counts().most_in_flight, 32);
  }
}

// Any change of any byte must leave an archive that opens or is refused, with every entry inside
// the disk: this is what the fuzzer asks too, at length.
TEST(TarRead, MutatedArchivesNeverLeadOutOfTheDisk) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto record = TarBuilder::record;
  const std::string good = TarBuilder()
                               .pax(record("path", "p/q") + record("size", "5"))
                               .member("a", "12345")
                               .member("meta", "long", 'L')
                               .member("b", "1")
                               .hard_link("h", "long")
                               .symlink("s", "h")
                               .pax(record("mtime", "3"), 'g')
                               .member("c", std::string(2000, 'c'))
                               .bytes();
  int opened = 0;
  for (int i = 0; i < 3000; i++) {
    std::string bytes = good;
    const size_t place = random() % bytes.size();
    bytes[place] = static_cast<char>(random());
    // A broken header would only be refused: repair its checksum half of the time.
    if (i % 2 == 0) {
      const size_t start = place / 512 * 512;
      unsigned sum = 0;
      for (size_t at = start; at < start + 512; at++)
        sum += at - start >= 148 && at - start < 156 ? ' ' : static_cast<unsigned char>(bytes[at]);
      std::snprintf(bytes.data() + start + 148, 8, "%06o", sum);
    }
    test::TestDisk disk(bytes);
    const auto lane = std::move(*disk.open_queue({}));
    const auto tar = TarFileSystem::open(*lane);
    if (!tar) continue;
    opened++;
    (*tar)->for_each([&](const TarEntry& entry) {
      if (entry.kind == TarKind::kFile) {
        EXPECT_TRUE(in_range(entry.offset, entry.size, bytes.size()));
      }
      const auto resolved = (*tar)->resolve(entry.path);
      EXPECT_TRUE(!resolved || resolved->kind != TarKind::kSymlink);
    });
  }
  EXPECT_GT(opened, 1000);
}

}  // namespace
}  // namespace splitring
