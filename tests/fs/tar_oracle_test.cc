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

// A file with data at its ends and in its middle, and holes between.
void plant_sparse_tree(const stdfs::path& root) {
  std::mt19937 random(8);
  const auto plant = [&](const char* name, uint64_t size, std::initializer_list<uint64_t> places) {
    stdfs::create_directories(root);
    std::ofstream(root / name).close();
    stdfs::resize_file(root / name, size);
    std::fstream file(root / name, std::ios::binary | std::ios::in | std::ios::out);
    for (const uint64_t place : places) {
      file.seekp(static_cast<std::streamoff>(place));
      for (int i = 0; i < 5000; i++) file.put(static_cast<char>(random()));
    }
  };
  plant("ends", 3'000'000, {0, 1'048'576, 2'995'000});
  plant("hole at the end", 2'000'000, {65'536});
  plant("nothing but a hole", 1'000'000, {});
  plant("many", 9'000'000,
        {0,         131'072,   262'144,   393'216,   524'288,   655'360,   786'432,   917'504,
         1'048'576, 1'179'648, 1'310'720, 1'441'792, 1'572'864, 1'703'936, 1'835'008, 1'966'080,
         2'097'152, 2'228'224, 2'359'296, 2'490'368, 2'621'440, 2'752'512, 2'883'584, 3'014'656,
         3'145'728, 3'276'800, 3'407'872, 3'538'944, 3'670'016, 8'900'000});
  std::ofstream(root / "plain") << "no holes";
}

class TarSparseOracle : public testing::TestWithParam<Maker> {};

TEST_P(TarSparseOracle, HolesReadAsZeroesAndDataAsItIs) {
  const Scratch scratch;
  const stdfs::path root = scratch.path() / "tree";
  plant_sparse_tree(root);
  const std::string archive = (scratch.path() / "archive.tar").string();
  const std::string command =
      "cd '" + root.string() + "' && " + GetParam().command + " -cf '" + archive + "' .";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const test::OpenTar open = test::open_tar(read_file(archive));
  EXPECT_EQ(open.tar->warning_count(), 0U)
      << (open.tar->warnings().empty() ? "" : open.tar->warnings()[0]);
  for (const auto& item : stdfs::directory_iterator(root)) {
    const std::string name = item.path().filename().string();
    const auto entry = open.tar->find(name);
    ASSERT_TRUE(entry) << name;
    EXPECT_EQ(entry->sparse, name != "plain") << name;
    EXPECT_TRUE(open.contents(name) == read_file(item.path())) << name;
  }
  EXPECT_LT(stdfs::file_size(archive), 1'000'000U) << "the archive has holes at all";
}

INSTANTIATE_TEST_SUITE_P(
    Makers, TarSparseOracle,
    testing::Values(Maker{"gnu_gnu", "tar -S --format=gnu", true},
                    Maker{"gnu_oldgnu", "tar -S --format=oldgnu", true},
                    Maker{"gnu_pax_00", "tar -S --format=pax --sparse-version=0.0", true},
                    Maker{"gnu_pax_01", "tar -S --format=pax --sparse-version=0.1", true},
                    Maker{"gnu_pax_10", "tar -S --format=pax --sparse-version=1.0", true},
                    Maker{"bsd_pax", "bsdtar --format=pax", true}),
    [](const auto& instance) { return std::string(instance.param.name); });

// What numbers an archive holds that octal digits cannot.
TEST(TarOracle, NegativeTimesAndHugeSizesOfGnuTarAreBase256) {
  const Scratch scratch;
  const std::string root = scratch.path().string();
  const std::string command =
      "cd '" + root +
      "' && truncate -s 10G huge && touch -d '1960-02-03 "
      "04:05:06 UTC' huge && echo x > next && tar -S --format=gnu -cf a.tar huge next";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const test::OpenTar open = test::open_tar(read_file(scratch.path() / "a.tar"));
  ASSERT_TRUE(open.tar->find("huge"));
  EXPECT_EQ(open.tar->find("huge")->size, uint64_t{10} << 30);
  EXPECT_EQ(open.tar->find("huge")->mtime_s, -312753294);
  EXPECT_EQ(open.contents("next"), "x\n");
}

TEST(TarOracle, ArchivesJoinedByCatReadAsGnuTarReadsThem) {
  const Scratch scratch;
  const std::string root = scratch.path().string();
  const std::string command =
      "cd '" + root +
      "' && echo 1 > a && tar -cf 1.tar a && echo 2 > a && echo 3 > b && "
      "tar -cf 2.tar a b && cat 1.tar 2.tar > both.tar && tar --ignore-zeros -xOf both.tar b";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const std::string both = read_file(scratch.path() / "both.tar");
  const test::OpenTar joined = test::open_tar(both, kSectorSize, {.stop_at_end = false});
  EXPECT_EQ(joined.contents("a"), "2\n") << "of twins the last wins";
  EXPECT_EQ(joined.contents("b"), "3\n");
  EXPECT_EQ(test::open_tar(both).contents("b"), "<none>");
}

}  // namespace
}  // namespace splitring
