// Archives of a real tree, made by GNU tar and bsdtar in every format they know, read by us.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/support/fs/tar_builder.h"

namespace splitring {
namespace {

namespace stdfs = std::filesystem;

class Scratch {
 public:
  Scratch() {
    std::string name = (stdfs::temp_directory_path() / "splitring-tar-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Scratch() { stdfs::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const stdfs::path& path() const { return path_; }

 private:
  stdfs::path path_;
};

std::string read_file(const stdfs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const stdfs::path& path, size_t bytes, std::mt19937& random) {
  stdfs::create_directories(path.parent_path());
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  std::ofstream(path, std::ios::binary) << text;
}

// `long_names`: also what V7 and old ustar cannot hold.
void plant_tree(const stdfs::path& root, bool long_names) {
  std::mt19937 random(7);
  for (int i = 0; i < 60; i++)
    write_file(root / ("dir" + std::to_string(i % 7)) / ("file" + std::to_string(i)),
               random() % 3000, random);
  for (const size_t bytes : {0U, 1U, 511U, 512U, 513U, 5'000'000U})
    write_file(root / "sizes" / std::to_string(bytes), bytes, random);
  write_file(root / "sp ace" / "quote'\"<&>", 10, random);
  stdfs::create_directories(root / "empty directory");
  stdfs::create_symlink("../sizes/513", root / "dir0" / "symbolic");
  stdfs::create_symlink("dir1", root / "linked directory");
  stdfs::create_hard_link(root / "sizes" / "512", root / "zz hard link");
  if (!long_names) return;
  write_file(root / "unicode \xe2\x82\xac" / "na\xc3\xafve \xf0\x9f\x90\xaa", 10, random);
  stdfs::path deep = root;
  for (int i = 0; i < 12; i++) deep /= "a-rather-long-directory-name-" + std::to_string(i);
  write_file(deep / std::string(200, 'n'), 100, random);
  stdfs::create_symlink(std::string(180, 't'), root / "long target");
}

struct Maker {
  const char* name;
  const char* command;  // run in the tree; the archive's path follows "-cf"
  bool long_names;
};

class TarOracle : public testing::TestWithParam<Maker> {};

TEST_P(TarOracle, EveryEntryReadsAsItIsInTheTree) {
  const Maker& maker = GetParam();
  const Scratch scratch;
  const stdfs::path root = scratch.path() / "tree";
  plant_tree(root, maker.long_names);
  const std::string archive = (scratch.path() / "archive.tar").string();
  const std::string command =
      "cd '" + root.string() + "' && " + maker.command + " -cf '" + archive + "' .";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;

  const test::OpenTar open = test::open_tar(read_file(archive));
  EXPECT_EQ(open.tar->warning_count(), 0U)
      << (open.tar->warnings().empty() ? "" : open.tar->warnings()[0]);
  size_t in_tree = 1;  // the root itself
  for (const auto& item : stdfs::recursive_directory_iterator(root)) {
    in_tree++;
    const std::string path = item.path().lexically_relative(root).string();
    const auto entry = open.tar->find(path);
    ASSERT_TRUE(entry) << path;
    struct stat facts {};
    ASSERT_EQ(lstat(item.path().c_str(), &facts), 0);
    EXPECT_EQ(entry->mode, facts.st_mode & 07777) << path;
    EXPECT_EQ(entry->mtime_s, facts.st_mtim.tv_sec) << path;
    if (item.is_symlink()) {
      EXPECT_EQ(entry->kind, TarKind::kSymlink) << path;
      EXPECT_EQ(entry->link, stdfs::read_symlink(item.path()).string()) << path;
    } else if (item.is_directory()) {
      EXPECT_EQ(entry->kind, TarKind::kDirectory) << path;
    } else {
      EXPECT_EQ(entry->size, item.file_size()) << path;
      EXPECT_TRUE(open.contents(path) == read_file(item.path())) << path;
    }
  }
  size_t in_archive = 0;
  open.tar->for_each([&](const TarEntry&) { in_archive++; });
  EXPECT_EQ(in_archive, in_tree);
  EXPECT_EQ(open.tar->resolve("linked directory/file1")->path, "dir1/file1");
  EXPECT_EQ(open.tar->resolve("dir0/symbolic")->size, 513U);
}

INSTANTIATE_TEST_SUITE_P(Makers, TarOracle,
                         testing::Values(Maker{"gnu_v7", "tar --format=v7", false},
                                         Maker{"gnu_ustar", "tar --format=ustar", false},
                                         Maker{"gnu_oldgnu", "tar --format=oldgnu", true},
                                         Maker{"gnu_gnu", "tar --format=gnu", true},
                                         Maker{"gnu_pax", "tar --format=pax", true},
                                         Maker{"gnu_pax_global",
                                               "tar --format=pax --pax-option=globexthdr.name=g,"
                                               "comment=hello",
                                               true},
                                         Maker{"bsd_v7", "bsdtar --format=v7", false},
                                         Maker{"bsd_ustar", "bsdtar --format=ustar", false},
                                         Maker{"bsd_gnutar", "bsdtar --format=gnutar", true},
                                         Maker{"bsd_pax", "bsdtar --format=pax", true}),
                         [](const auto& instance) { return std::string(instance.param.name); });

// Sizes beyond what eleven octal digits hold. The body would be 9 GiB: only the headers are made,
// by GNU tar from a hole.
TEST(TarOracleSizes, Above8GibReadAsGnuTarWritesThem) {
  constexpr uint64_t kSize = (uint64_t{9} << 30) + 5;
  const Scratch scratch;
  const stdfs::path hole = scratch.path() / "hole";
  std::ofstream(hole).close();
  stdfs::resize_file(hole, kSize);
  const auto headers_in = [&](const std::string& format) {
    const stdfs::path headers = scratch.path() / format;
    const std::string command = "cd '" + scratch.path().string() + "' && tar --format=" + format +
                                " -cf - hole 2>/dev/null | head -c 4096 >'" + headers.string() +
                                "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return read_file(headers);
  };
  const auto header_at = [](const std::string& bytes, size_t at) {
    return parse_tar_header(TarBlock(std::as_bytes(std::span(bytes)).subspan(at).first<512>()));
  };
  const std::string gnu = headers_in("gnu");
  ASSERT_TRUE(header_at(gnu, 0));
  EXPECT_EQ(header_at(gnu, 0)->size, kSize);
  const std::string pax = headers_in("pax");
  ASSERT_TRUE(header_at(pax, 0));
  PaxFields fields;
  ASSERT_TRUE(apply_pax_records(pax.substr(512, header_at(pax, 0)->size), fields));
  EXPECT_EQ(fields.size, kSize);
  EXPECT_TRUE(test::open_tar(pax).warns_of("truncated member hole"));
}

}  // namespace
}  // namespace splitring
