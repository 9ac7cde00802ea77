#include "tests/support/fs/fat_test_volume.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "blkimage/memory_disk.h"

namespace splitring::test {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "fat test volume: %s\n", what.c_str());
  std::abort();
}

template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error().what);
  return std::move(*result);
}
void must(const Result<>& result) {
  if (!result) give_up(result.error().what);
}

}  // namespace

FatTestVolume::FatTestVolume(uint64_t bytes, const FatFormat& format, uint32_t block_bytes)
    : disk_(must(
          MemoryDisk::create(Sectors::from_bytes(bytes), {.logical_block_bytes = block_bytes}))),
      lane_(must(disk_->open_queue({}))) {
  must(format_fat(*lane_, format));
  mount();
}

FatTestVolume::FatTestVolume(std::unique_ptr<BlockDevice> disk, const FatOptions& options)
    : disk_(std::move(disk)), lane_(must(disk_->open_queue({}))) {
  mount(options);
}

FatTestVolume::~FatTestVolume() = default;

void FatTestVolume::mount(const FatOptions& options) {
  volume_ = must(FatVolume::open(*lane_, options));
}

void FatTestVolume::close() { must(volume_->close(*lane_)); }

FatNode FatTestVolume::node(std::string_view path) {
  return must(volume_->resolve(*lane_, path)).node;
}

FatNode FatTestVolume::parent_of(std::string_view path, std::string_view& name) {
  const size_t slash = path.rfind('/');
  name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  return slash == std::string_view::npos ? kFatRoot : node(path.substr(0, slash));
}

Result<> FatTestVolume::put(std::string_view path, std::string_view content) {
  std::string_view name;
  const FatNode parent = parent_of(path, name);
  auto made = volume_->lookup(*lane_, parent, name);
  if (!made) made = volume_->create(*lane_, parent, name);
  const FatNode file = TRY(std::move(made)).node;
  TRY_VOID(volume_->open_file(*lane_, file));
  auto done = volume_->truncate(*lane_, file, 0);
  if (done) done = volume_->write(*lane_, file, 0, std::as_bytes(std::span(content)));
  TRY_VOID(volume_->close_file(*lane_, file));
  volume_->forget(file);
  return done;
}

void FatTestVolume::must_put(std::string_view path, std::string_view content) {
  must(put(path, content));
}

std::string FatTestVolume::get(std::string_view path) {
  const auto stat = volume_->resolve(*lane_, path);
  if (!stat || !volume_->open_file(*lane_, stat->node)) return "<error>";
  std::string out(stat->size, '\0');
  const auto got = volume_->read(*lane_, stat->node, 0, std::as_writable_bytes(std::span(out)));
  if (!got) out = "<error>";
  if (got) out.resize(*got);
  must(volume_->close_file(*lane_, stat->node));
  volume_->forget(stat->node);
  return out;
}

Result<> FatTestVolume::mkdir(std::string_view path) {
  std::string_view name;
  const FatNode parent = parent_of(path, name);
  volume_->forget(TRY(volume_->make_directory(*lane_, parent, name)).node);
  return {};
}

Result<> FatTestVolume::remove(std::string_view path) {
  std::string_view name;
  const FatNode parent = parent_of(path, name);
  return volume_->remove_file(*lane_, parent, name);
}

Result<> FatTestVolume::rmdir(std::string_view path) {
  std::string_view name;
  const FatNode parent = parent_of(path, name);
  return volume_->remove_directory(*lane_, parent, name);
}

Result<> FatTestVolume::rename(std::string_view from, std::string_view to,
                               FatVolume::Replace replace) {
  std::string_view from_name;
  std::string_view to_name;
  const FatNode from_parent = parent_of(from, from_name);
  const FatNode to_parent = parent_of(to, to_name);
  return volume_->rename(*lane_, from_parent, from_name, to_parent, to_name, replace);
}

bool FatTestVolume::exists(std::string_view path) {
  const auto stat = volume_->resolve(*lane_, path);
  if (stat) volume_->forget(stat->node);
  return stat.has_value();
}

std::vector<std::string> FatTestVolume::names(std::string_view path) {
  std::vector<std::string> names;
  const FatNode directory = node(path);
  for (const FatEntry& entry : must(volume_->list(*lane_, directory, 0, SIZE_MAX)))
    names.push_back(entry.name);
  volume_->forget(directory);
  std::ranges::sort(names);
  return names;
}

void FatTestVolume::add_tree(FatNode directory, const std::string& prefix,
                             std::vector<std::string>& out) {
  for (const FatEntry& entry : must(volume_->list(*lane_, directory, 0, SIZE_MAX))) {
    out.push_back(prefix + entry.name + (entry.stat.is_directory ? "/" : ""));
    if (!entry.stat.is_directory) continue;
    const FatNode below = must(volume_->lookup(*lane_, directory, entry.name)).node;
    add_tree(below, prefix + entry.name + "/", out);
    volume_->forget(below);
  }
}

std::vector<std::string> FatTestVolume::tree() {
  std::vector<std::string> out;
  add_tree(kFatRoot, "", out);
  std::ranges::sort(out);
  return out;
}

std::string FatTestVolume::image() {
  std::string bytes(disk_->geometry().capacity.bytes(), '\0');
  must(lane_->read({0}, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

std::string FatTestVolume::fsck() { return fsck_fat(image()); }

std::string fsck_fat(std::string_view image) {
  std::string path = (std::filesystem::temp_directory_path() / "splitring-fat-XXXXXX").string();
  const int fd = mkstemp(path.data());
  if (fd < 0) give_up("no temporary file");
  ::close(fd);
  std::ofstream(path, std::ios::binary)
      .write(image.data(), static_cast<std::streamsize>(image.size()));
  const bool is_exfat = image.substr(3, 8) == "EXFAT   ";
  const std::string fsck = is_exfat ? "/usr/sbin/fsck.exfat -n " : "/usr/sbin/fsck.fat -n ";
  FILE* const pipe = popen((fsck + path + " 2>&1").c_str(), "r");
  if (pipe == nullptr) give_up("fsck does not start");
  std::string said;
  std::array<char, 4096> part{};
  for (size_t n = 0; (n = std::fread(part.data(), 1, part.size(), pipe)) != 0;)
    said.append(part.data(), n);
  const int status = pclose(pipe);
  std::filesystem::remove(path);
  return status == 0 ? "" : said;
}

}  // namespace splitring::test
