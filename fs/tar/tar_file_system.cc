#include "fs/tar/tar_file_system.h"

#include <algorithm>

#include "fs/disk_bytes.h"
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
  TarSummary& summary = tar->summary_;
  summary.disk_bytes = lane.geometry().capacity.bytes();
  summary.end = TRY(TarScanner(disk, tar->index_, summary.notes, limits.stop_at_end).run());
  tar->table_ = tar->index_.table();
  tar->count_files();
  return tar;
}

Result<std::unique_ptr<TarFileSystem>> TarFileSystem::open_saved(BlockQueue& lane,
                                                                 const std::string& index_path,
                                                                 const ImageIdentity& image) {
  SavedTarIndex saved =
      TRY(open_saved_tar_index(index_path, image, lane.geometry().capacity.bytes()));
  std::unique_ptr<TarFileSystem> tar(new TarFileSystem(TarLimits{}));
  tar->pages_ = std::move(saved.pages);
  tar->table_ = saved.table;
  tar->summary_ = std::move(saved.summary);
  return tar;
}

Result<> TarFileSystem::save(const std::string& index_path, const ImageIdentity& image) const {
  return save_tar_index(index_path, image, index_.parts(), summary_);
}

Result<> TarFileSystem::check_index() const {
  if (pages_) (void)pages_->ready(pages_->bytes().data(), pages_->bytes().size());
  for (TarTable::Id id = 0; id < table_.size() && intact(); id++) (void)describe(id);
  if (!intact()) return fail(Errc::kInvalid, "the saved index is damaged: make it anew");
  return {};
}

void TarFileSystem::count_files() {
  for (TarTable::Id id = 0; id < table_.size(); id++) {
    const TarRecord& record = table_.record(id);
    if (record.kind != TarKind::kFile) continue;
    summary_.file_count++;
    // Sparse files may claim any size up to 2^63.
    if (__builtin_add_overflow(summary_.file_bytes, record.size, &summary_.file_bytes))
      summary_.file_bytes = UINT64_MAX;
  }
}

bool TarFileSystem::is_sane(const TarRecord& record) const {
  if (record.kind > TarKind::kSpecial) return false;
  if (!record.has(TarRecord::kSparse))
    return record.kind != TarKind::kFile ||
           in_range(record.offset, record.size, summary_.disk_bytes);
  uint64_t end = 0;
  for (const TarExtent& extent : table_.extents(record)) {
    if (extent.first < end || !in_range(extent.first, extent.bytes, record.size) ||
        !in_range(extent.offset, extent.bytes, summary_.disk_bytes))
      return false;
    end = extent.first + extent.bytes;
  }
  return true;
}

TarEntry TarFileSystem::describe(TarTable::Id id) const {
  const TarRecord& record = table_.record(id);
  if (pages_ && !is_sane(record)) {
    pages_->report_damage();
    return {.path = table_.path(record), .kind = TarKind::kSpecial, .number = id};
  }
  return {.path = table_.path(record),
          .kind = record.kind,
          .size = record.size,
          .offset = record.offset,
          .mtime_s = record.mtime_s,
          .mtime_ns = record.mtime_ns,
          .uid = record.uid,
          .gid = record.gid,
          .mode = record.mode,
          .implied = record.has(TarRecord::kImplied),
          .link = table_.link(record),
          .is_hard_link = record.has(TarRecord::kHardLink),
          .sparse = record.has(TarRecord::kSparse),
          .extents = table_.extents(record),
          .number = id};
}

std::optional<TarEntry> TarFileSystem::find(std::string_view path) const {
  auto id = table_.find(path);
  if (!id) id = table_.find(TarIndex::normalize(path));
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
  std::optional<TarTable::Id> id = TarTable::kRoot;
  while (!todo.empty()) {
    const std::string component = take_component(todo);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      if (links == 0 || done.empty()) return std::nullopt;
      drop_last_component(done);
      id = table_.find(done);
      continue;
    }
    const size_t before = done.size();
    if (!done.empty()) done += '/';
    done += component;
    id = table_.find(done);
    if (!id) return std::nullopt;
    const TarRecord& entry = table_.record(*id);
    if (entry.kind != TarKind::kSymlink) continue;
    if (++links > kMaxSymlinks) return std::nullopt;
    const std::string_view target = table_.link(entry);
    done.erase(target.starts_with('/') ? 0 : before);
    todo = std::string(target) + "/" + todo;
    id = table_.find(done);
  }
  if (!id) return std::nullopt;
  return describe(*id);
}

std::vector<TarEntry> TarFileSystem::list(std::string_view directory) const {
  std::vector<TarEntry> children;
  auto id = table_.find(TarIndex::normalize(directory));
  if (!id) return children;
  for (TarTable::Id child = table_.record(*id).first_child; child != TarTable::kRoot;
       child = table_.record(child).next_sibling) {
    if (children.size() == table_.size()) {  // a saved index whose siblings form a circle
      pages_->report_damage();
      return {};
    }
    children.push_back(describe(child));
  }
  std::sort(children.begin(), children.end(),
            [](const TarEntry& a, const TarEntry& b) { return a.path < b.path; });
  return children;
}

void TarFileSystem::for_each(const std::function<void(const TarEntry&)>& visit) const {
  for (TarTable::Id id = 0; id < table_.size(); id++) {
    if (!table_.record(id).has(TarRecord::kImplied)) visit(describe(id));
  }
}

Result<size_t> TarFileSystem::read(BlockQueue& lane, const TarEntry& file, uint64_t offset,
                                   std::span<std::byte> out) const {
  if (file.kind != TarKind::kFile)
    return fail(Errc::kInvalid, printable_name(file.path) + " is no file");
  if (offset >= file.size) return size_t{0};
  out = out.first(std::min<uint64_t>(out.size(), file.size - offset));
  for (size_t done = 0; done < out.size();) {
    const TarRun run = run_at(file, offset + done);
    const size_t bytes = std::min<uint64_t>(out.size() - done, run.bytes);
    const std::span<std::byte> part = out.subspan(done, bytes);
    if (run.offset)
      TRY_VOID(read_disk_bytes(lane, *run.offset, part));
    else
      std::ranges::fill(part, std::byte{0});
    done += bytes;
  }
  return out.size();
}

TarRun run_at(const TarEntry& file, uint64_t at) {
  if (at >= file.size) return {};
  if (!file.sparse) return {file.offset + at, file.size - at};
  const auto next = std::ranges::upper_bound(file.extents, at, {}, &TarExtent::first);
  if (next != file.extents.begin()) {
    const TarExtent& extent = *std::prev(next);
    if (const uint64_t skipped = at - extent.first; skipped < extent.bytes)
      return {extent.offset + skipped, extent.bytes - skipped};
  }
  return {std::nullopt, (next == file.extents.end() ? file.size : next->first) - at};
}

}  // namespace splitring
