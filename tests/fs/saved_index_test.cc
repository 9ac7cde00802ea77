// An index saved beside an image: the same answers, and no trust in what may not be believed.
#include "fs/tar/saved_index.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

using test::TarBuilder;

class SavedIndex : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "splitring-index-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    image_ = directory_ + "/image.tar";
    path_ = saved_index_path(image_);
    auto archive = TarBuilder();
    for (int i = 0; i < 3000; i++)
      archive.member("dir" + std::to_string(i % 50) + "/file" + std::to_string(i),
                     std::to_string(i));
    archive.pax(TarBuilder::record("GNU.sparse.size", "15") +
                TarBuilder::record("GNU.sparse.map", "3,4,12,2"));
    archive.member("sparse", "abcdef").symlink("link", "dir1/file1").hard_link("lost", "nowhere");
    write(image_, archive.bytes());
    open_ = test::open_tar(archive.bytes());
    identity_ = *identify_settled_image(image_);
    ASSERT_TRUE(open_.tar->save(path_, identity_));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  [[nodiscard]] Result<std::unique_ptr<TarFileSystem>> reopen() const {
    return TarFileSystem::open_saved(*open_.lane, path_, identity_);
  }
  [[nodiscard]] Errc refusal() const {
    const auto saved = reopen();
    EXPECT_FALSE(saved);
    return saved ? Errc::kIo : saved.error().code;
  }

  std::string directory_;
  std::string image_;
  std::string path_;
  test::OpenTar open_;
  ImageIdentity identity_;
};

bool same(const TarEntry& a, const TarEntry& b) {
  return a.path == b.path && a.kind == b.kind && a.size == b.size && a.offset == b.offset &&
         a.mtime_s == b.mtime_s && a.mode == b.mode && a.link == b.link && a.sparse == b.sparse &&
         a.extents.size() == b.extents.size();
}

TEST_F(SavedIndex, AnswersAsTheScanDid) {
  const auto saved = reopen();
  ASSERT_TRUE(saved) << saved.error().what;
  open_.tar->for_each([&](const TarEntry& entry) {
    const auto found = (*saved)->find(entry.path);
    ASSERT_TRUE(found) << entry.path;
    EXPECT_TRUE(same(*found, entry)) << entry.path;
  });
  EXPECT_EQ((*saved)->list("").size(), open_.tar->list("").size());
  EXPECT_EQ((*saved)->list("dir7").size(), 60U);
  EXPECT_EQ((*saved)->resolve("link")->path, "dir1/file1");
  EXPECT_FALSE((*saved)->find("dir1/nothing"));
  EXPECT_EQ((*saved)->file_count(), open_.tar->file_count());
  EXPECT_EQ((*saved)->file_bytes(), open_.tar->file_bytes());
  EXPECT_EQ((*saved)->warnings(), open_.tar->warnings());
  EXPECT_EQ((*saved)->end().offset, open_.tar->end().offset);
  std::string text(15, 'x');
  EXPECT_TRUE((*saved)->read(*open_.lane, *(*saved)->find("sparse"), 0,
                             std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, open_.contents("sparse"));
  EXPECT_TRUE((*saved)->check_index());
  EXPECT_TRUE((*saved)->intact());
}

TEST_F(SavedIndex, OneOfAnotherImageOrOfAnEarlierStateIsRefused) {
  for (auto change :
       {+[](ImageIdentity& i) { i.inode++; }, +[](ImageIdentity& i) { i.bytes++; },
        +[](ImageIdentity& i) { i.modified_ns++; }, +[](ImageIdentity& i) { i.changed_ns++; },
        +[](ImageIdentity& i) { i.device++; }}) {
    ImageIdentity other = identity_;
    change(other);
    const auto saved = TarFileSystem::open_saved(*open_.lane, path_, other);
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().code, Errc::kConflict);
  }
}

// What a program can do to hide that it has changed an image.
TEST_F(SavedIndex, AChangedImageCannotLookUnchanged) {
  struct stat before {};
  ASSERT_EQ(::stat(image_.c_str(), &before), 0);
  {
    std::fstream file(image_, std::ios::in | std::ios::out | std::ios::binary);
    file.put('X');
  }
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, image_.c_str(), times, 0), 0);
  const ImageIdentity now = *identify_image(image_);
  EXPECT_EQ(now.modified_ns, identity_.modified_ns);
  EXPECT_NE(now, identity_);
}

TEST_F(SavedIndex, OneThatOthersMayWriteIsRefused) {
  ASSERT_EQ(::chmod(path_.c_str(), 0664), 0);
  EXPECT_EQ(refusal(), Errc::kPermission);
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  EXPECT_TRUE(reopen());
  std::filesystem::rename(path_, path_ + ".real");
  std::filesystem::create_symlink(path_ + ".real", path_);
  EXPECT_FALSE(reopen()) << "not through a symbolic link";
  std::filesystem::remove(path_);
  EXPECT_EQ(refusal(), Errc::kNotFound);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(reopen()) << "and a pipe does not hang it";
}

TEST_F(SavedIndex, EveryDamagedByteIsNoticedBeforeItIsBelieved) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string good = read(path_);
  int refused_at_once = 0;
  for (int i = 0; i < 300; i++) {
    std::string bad = good;
    const size_t place = i < 100 ? static_cast<size_t>(i) * 2 : random() % bad.size();
    bad[place] = static_cast<char>(bad[place] ^ (1 << random() % 8));
    std::filesystem::remove(path_);
    write(path_, bad);
    const auto saved = reopen();
    if (!saved) {
      refused_at_once++;
      continue;
    }
    // The padding before the pages is covered by nothing, and used for nothing.
    if ((*saved)->check_index()) {
      EXPECT_EQ(bad[place] ^ good[place], bad[place]) << "padding is zero: " << place;
      continue;
    }
    EXPECT_FALSE((*saved)->intact());
  }
  EXPECT_GT(refused_at_once, 80) << "the header";
}

TEST_F(SavedIndex, OneThatWasCutOffOrGrewIsRefused) {
  const std::string good = read(path_);
  for (const size_t bytes :
       {size_t{0}, size_t{8}, size_t{167}, size_t{5000}, good.size() - 1, good.size() + 1}) {
    std::filesystem::remove(path_);
    std::string text = good;
    text.resize(bytes);
    write(path_, text);
    EXPECT_FALSE(reopen()) << bytes;
  }
}

TEST_F(SavedIndex, AFileThatShrinksBelowAReaderIsDamageNotASignal) {
  const auto saved = std::move(*reopen());
  ASSERT_EQ(::truncate(path_.c_str(), 4096), 0);
  EXPECT_FALSE(saved->find("dir1/file1"));
  EXPECT_FALSE(saved->intact());
}

TEST_F(SavedIndex, WhatIsLoadedIsKeptWhateverHappensToTheFile) {
  const auto saved = std::move(*reopen());
  ASSERT_TRUE(saved->check_index());
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);
  EXPECT_TRUE(saved->find("dir1/file1"));
  EXPECT_TRUE(saved->intact());
}

// One that is ours and well-formed, but says what cannot be: nothing leads out of the image, and
// everything ends.
TEST_F(SavedIndex, RecordsThatCannotBeAreNotFollowed) {
  TarIndex index;
  const auto facts = [](uint64_t offset, uint64_t size) {
    TarIndex::Facts made;
    made.offset = offset;
    made.size = size;
    return made;
  };
  ASSERT_TRUE(index.add("beyond", facts(512, uint64_t{1} << 40)));
  ASSERT_TRUE(index.add("far", facts(UINT64_MAX - 511, 4096)));
  const std::array<TarExtent, 1> outside{TarExtent{0, 100, uint64_t{1} << 50}};
  TarIndex::Facts sparse = facts(512, 100);
  sparse.extents = outside;
  ASSERT_TRUE(index.add("sparse", sparse));
  const TarSummary summary{.disk_bytes = open_.disk->geometry().capacity.bytes(), .file_count = 3};
  ASSERT_TRUE(save_tar_index(path_, identity_, index.parts(), summary));
  const auto saved = std::move(*reopen());
  for (const char* name : {"beyond", "far", "sparse"})
    EXPECT_EQ(saved->find(name)->kind, TarKind::kSpecial) << name;
  EXPECT_FALSE(saved->intact());

  // Siblings in a circle, and a table whose every cell leads to one record.
  std::vector<TarRecord> records(3);
  records[0].first_child = 1;
  records[1].next_sibling = 2;
  records[2].next_sibling = 1;
  const std::vector<TarCell> cells(8, TarCell{0, 2});
  ASSERT_TRUE(save_tar_index(path_, identity_, {.records = records, .cells = cells},
                             {.disk_bytes = summary.disk_bytes}));
  const auto circle = std::move(*reopen());
  EXPECT_TRUE(circle->list("").empty());
  EXPECT_FALSE(circle->find("anything"));
  EXPECT_FALSE(circle->intact());
}

}  // namespace
}  // namespace splitring
