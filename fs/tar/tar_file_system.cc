#include "fs/tar/tar_file_system.h"

#include <algorithm>

#include "fs/tar/disk_bytes.h"
#include "fs/tar/read_ahead.h"

namespace splitring {
namespace {

// As many as Linux follows (MAXSYMLINKS).
constexpr int kMaxSymlinks = 40;

// Removes the first component of `path` and the slashes before and behind it.
std::string take_component(std::string& path) {
  const size_t begin = std::min(path.find_first_not_of('/'), path.size());
  const size_t end = std::min(path.find('/', begin), path.size());
  std::string component = path.substr(begin, end - begin);
  path.erase(0, std::min(path.find_first_not_of('/', end), path.size()));
  return component;
}

void drop_last_component(std::string& path) {
  const size_t slash = path.rfind('/');
  path.erase(slash == std::string::npos ? 0 : slash);
}

}  // namespace

Result<std::unique_ptr<TarFileSystem>> TarFileSystem::open(BlockQueue& lane,
                                                           const TarLimits& limits) {
  std::unique_ptr<TarFileSystem> tar(new TarFileSystem(limits));
  ReadAhead disk(lane);
  TRY_VOID(TarScanner(disk, tar->index_, tar->notes_).run());
  tar->count_files();
  return tar;
}

void TarFileSystem::count_files() {
  for (TarIndex::Id id = 0; id < index_.size(); id++) {
    const TarIndex::Entry& entry = index_.entry(id);
    if (entry.kind != TarKind::kFile) continue;
    file_count_++;
    file_bytes_ += entry.size;
  }
}

TarEntry TarFileSystem::describe(TarIndex::Id id) const {
  const TarIndex::Entry& entry = index_.entry(id);
  return {.path = index_.path(entry),
          .kind = entry.kind,
          .size = entry.size,
          .offset = entry.offset,
          .mtime_s = entry.mtime_s,
          .mode = entry.mode,
          .implied = entry.implied,
          .link = index_.link(entry)};
}

std::optional<TarEntry> TarFileSystem::find(std::string_view path) const {
  auto id = index_.find(path);
  if (!id) id = index_.find(TarIndex::normalize(path));
  if (!id) return std::nullopt;
  return describe(*id);
}

std::optional<TarEntry> TarFileSystem::resolve(std::string_view path) const {
  if (path.size() > kMaxTarPathBytes) return std::nullopt;
  auto whole = find(path);
  if (whole && whole->kind != TarKind::kSymlink) return whole;

  // Component by component: `done` has no links in it, `todo` is what remains. It cannot grow
  // beyond kMaxSymlinks + 1 paths.
  std::string done;
  std::string todo = TarIndex::normalize(path);
  int links = 0;
  std::optional<TarIndex::Id> id = TarIndex::kRoot;
  while (!todo.empty()) {
    const std::string component = take_component(todo);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      if (links == 0 || done.empty()) return std::nullopt;
      drop_last_component(done);
      id = index_.find(done);
      continue;
    }
    const size_t before = done.size();
    if (!done.empty()) done += '/';
    done += component;
    id = index_.find(done);
    if (!id) return std::nullopt;
    const TarIndex::Entry& entry = index_.entry(*id);
    if (entry.kind != TarKind::kSymlink) continue;
    if (++links > kMaxSymlinks) return std::nullopt;
    const std::string_view target = index_.link(entry);
    done.erase(target.starts_with('/') ? 0 : before);
    todo = std::string(target) + "/" + todo;
    id = index_.find(done);
  }
  if (!id) return std::nullopt;
  return describe(*id);
}

std::vector<TarEntry> TarFileSystem::list(std::string_view directory) const {
  std::vector<TarEntry> children;
  auto id = index_.find(TarIndex::normalize(directory));
  if (!id) return children;
  for (TarIndex::Id child = index_.entry(*id).first_child; child != TarIndex::kRoot;
       child = index_.entry(child).next_sibling)
    children.push_back(describe(child));
  std::sort(children.begin(), children.end(),
            [](const TarEntry& a, const TarEntry& b) { return a.path < b.path; });
  return children;
}

void TarFileSystem::for_each(const std::function<void(const TarEntry&)>& visit) const {
  for (TarIndex::Id id = 0; id < index_.size(); id++) {
    if (!index_.entry(id).implied) visit(describe(id));
  }
}

Result<size_t> TarFileSystem::read(BlockQueue& lane, const TarEntry& file, uint64_t offset,
                                   std::span<std::byte> out) const {
  if (file.kind != TarKind::kFile)
    return fail(Errc::kInvalid, printable_name(file.path) + " is no file");
  if (offset >= file.size) return size_t{0};
  const size_t bytes = std::min<uint64_t>(out.size(), file.size - offset);
  TRY_VOID(read_disk_bytes(lane, file.offset + offset, out.first(bytes)));
  return bytes;
}

}  // namespace splitring
