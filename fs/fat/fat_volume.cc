#include "fs/fat/fat_volume.h"

#include <shared_mutex>

#include "fs/disk_bytes.h"
#include "fs/fat/fat_time.h"
#include "fs/fat/fat_volume_impl.h"

namespace splitring {
namespace {

uint8_t bits_of(const FatFlags& flags) {
  return static_cast<uint8_t>((flags.read_only ? kFatReadOnly : 0) |
                              (flags.hidden ? kFatHidden : 0) | (flags.system ? kFatSystem : 0) |
                              (flags.archive ? kFatArchive : 0));
}
constexpr uint8_t kFlagBits = kFatReadOnly | kFatHidden | kFatSystem | kFatArchive;

}  // namespace

FatVolume::FatVolume(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FatVolume::~FatVolume() = default;

Result<std::unique_ptr<FatVolume>> FatVolume::open(BlockQueue& lane, const FatOptions& options) {
  auto core = TRY(FatCore::open(lane, options));
  auto impl = std::make_unique<Impl>(std::move(core));
  TRY_VOID(impl->read_label(lane));
  return std::unique_ptr<FatVolume>(new FatVolume(std::move(impl)));
}

Result<> FatVolume::close(BlockQueue& lane) {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->core->closed())
    impl_->nodes.for_each([&](FatNodeState& node) {
      if (node.opens != 0) impl_->give_back(node);
    });
  return impl_->core->close(lane);
}

Result<> FatVolume::sync(BlockQueue& lane) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->core->cycle(lane);
}

bool FatVolume::read_only() const { return impl_->core->options().read_only; }

FatSpace FatVolume::space() const {
  const std::lock_guard lock(impl_->mutex);
  FatTable& table = impl_->core->table();
  const FatGeometry& geometry = impl_->core->geometry();
  return {.cluster_bytes = geometry.cluster_bytes,
          .clusters = geometry.clusters,
          .free_clusters = uint64_t{table.free_count()} + table.pending_count()};
}

std::vector<std::string> FatVolume::notes() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->core->notes();
}

FatVolumeInfo FatVolume::info() const {
  const FatSpace now = space();
  const std::lock_guard lock(impl_->mutex);
  const FatGeometry& geometry = impl_->core->geometry();
  return {.type = geometry.type,
          .label = impl_->label,
          .id = impl_->core->id(),
          .sector_bytes = geometry.sector_bytes,
          .fat_count = geometry.fat_count,
          .total_bytes = geometry.total_bytes,
          .space = now,
          .was_dirty = impl_->core->was_dirty()};
}

Result<> FatVolume::set_label(BlockQueue& lane, std::string_view label) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->set_label(lane, label);
}

// ---- names

Result<FatStat> FatVolume::lookup(BlockQueue& lane, FatNode directory, std::string_view name) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const parent = TRY(impl_->directory_node(directory));
  impl_->core->trim();
  return impl_->stat_of(*TRY(impl_->lookup(lane, *parent, name)));
}

Result<FatStat> FatVolume::resolve(BlockQueue& lane, std::string_view path) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* at = &impl_->nodes.root();
  at->references++;
  while (true) {
    const size_t begin = std::min(path.find_first_not_of('/'), path.size());
    path.remove_prefix(begin);
    if (path.empty()) return impl_->stat_of(*at);
    const size_t end = std::min(path.find('/'), path.size());
    Result<FatNodeState*> next = fail(Errc::kInvalid, "a file holds no names");
    if (at->is_directory()) next = impl_->lookup(lane, *at, path.substr(0, end));
    impl_->nodes.drop(*at, 1);
    at = TRY(std::move(next));
    path.remove_prefix(end);
  }
}

void FatVolume::forget(FatNode node, uint64_t references) {
  const std::lock_guard lock(impl_->mutex);
  if (FatNodeState* const found = impl_->nodes.find(node)) impl_->nodes.drop(*found, references);
}

Result<FatStat> FatVolume::create(BlockQueue& lane, FatNode directory, std::string_view name,
                                  const FatFlags& flags) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const parent = TRY(impl_->directory_node(directory));
  FatSlot slot;
  slot.attributes = bits_of(flags);
  const FatStamp now = fat_stamp(fat_now(), impl_->core->options().utc);
  slot.created_date = slot.modified_date = slot.accessed_date = now.date;
  slot.created_time = slot.modified_time = now.time;
  slot.created_10ms = now.tens_of_ms;
  return impl_->stat_of(*TRY(impl_->make(lane, *parent, name, slot)));
}

Result<FatStat> FatVolume::make_directory(BlockQueue& lane, FatNode directory,
                                          std::string_view name) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const parent = TRY(impl_->directory_node(directory));
  FatSlot slot;
  slot.attributes = kFatDirectory;
  return impl_->stat_of(*TRY(impl_->make(lane, *parent, name, slot)));
}

Result<> FatVolume::remove_file(BlockQueue& lane, FatNode directory, std::string_view name) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->remove(lane, *TRY(impl_->directory_node(directory)), name, false);
}

Result<> FatVolume::remove_directory(BlockQueue& lane, FatNode directory, std::string_view name) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->remove(lane, *TRY(impl_->directory_node(directory)), name, true);
}

Result<> FatVolume::rename(BlockQueue& lane, FatNode from_directory, std::string_view from,
                           FatNode to_directory, std::string_view to, Replace replace) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const from_node = TRY(impl_->directory_node(from_directory));
  FatNodeState* const to_node = TRY(impl_->directory_node(to_directory));
  return impl_->rename(lane, *from_node, from, *to_node, to, replace);
}

Result<std::vector<FatEntry>> FatVolume::list(BlockQueue& lane, FatNode directory, uint64_t cookie,
                                              size_t most, References references) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->list(lane, *TRY(impl_->directory_node(directory)), cookie, most, references);
}

// ---- nodes

Result<FatStat> FatVolume::stat(BlockQueue& /*lane*/, FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stat_of(*TRY(impl_->node(node)));
}

Result<FatNode> FatVolume::parent(FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const found = TRY(impl_->node(node));
  return found->parent == nullptr ? kFatRoot : found->parent->node;
}

Result<> FatVolume::change(BlockQueue& lane, FatNode node, const FatChange& change) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const found = TRY(impl_->node(node));
  if (found->parent == nullptr)
    return fail(Errc::kPermission, "the root has no times and attributes on FAT");
  TRY_VOID(impl_->core->begin_change(lane));
  const bool utc = impl_->core->options().utc;
  FatSlot& slot = found->slot;
  if (change.flags)
    slot.attributes = static_cast<uint8_t>((slot.attributes & ~kFlagBits) | bits_of(*change.flags));
  if (change.modified) set_modified(slot, *change.modified, utc);
  if (change.accessed) slot.accessed_date = fat_stamp(*change.accessed, utc).date;
  if (change.created) {
    const FatStamp stamp = fat_stamp(*change.created, utc);
    slot.created_date = stamp.date;
    slot.created_time = stamp.time;
    slot.created_10ms = stamp.tens_of_ms;
  }
  return impl_->update(lane, *found);
}

// ---- files

Result<> FatVolume::open_file(BlockQueue& /*lane*/, FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const file = TRY(impl_->node(node));
  if (file->is_directory()) return fail(Errc::kInvalid, "a directory has no bytes");
  if (file->removed && file->opens == 0) return fail(Errc::kNotFound, "the file was removed");
  TRY_VOID(impl_->load_chain(*file));
  file->opens++;
  return {};
}

Result<> FatVolume::close_file(BlockQueue& /*lane*/, FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  impl_->close_file(*TRY(impl_->open_node(node)));
  return {};
}

Result<size_t> FatVolume::read(BlockQueue& lane, FatNode node, uint64_t offset,
                               std::span<std::byte> out) {
  std::unique_lock lock(impl_->mutex);
  FatNodeState& file = *TRY(impl_->open_node(node));
  lock.unlock();  // it stays: the caller has it open
  const std::shared_lock bytes(file.io);
  lock.lock();
  const uint64_t size = file.slot.size;
  const uint64_t end =
      offset >= size ? offset : offset + std::min<uint64_t>(out.size(), size - offset);
  struct Piece {
    uint64_t disk_offset;
    std::span<std::byte> out;
  };
  std::vector<Piece> pieces;
  const FatGeometry& geometry = impl_->core->geometry();
  for (uint64_t at = offset; at < end;) {
    const FatRun run = file.chain.at(at / geometry.cluster_bytes);
    const uint64_t skipped = at % geometry.cluster_bytes;
    const uint64_t part =
        std::min<uint64_t>(end - at, uint64_t{run.count} * geometry.cluster_bytes - skipped);
    pieces.push_back({geometry.offset_of(run.first) + skipped, out.subspan(at - offset, part)});
    TRY_VOID(impl_->core->settle(lane, pieces.back().disk_offset, part));
    at += part;
  }
  lock.unlock();
  for (const Piece& piece : pieces) TRY_VOID(read_disk_bytes(lane, piece.disk_offset, piece.out));
  return static_cast<size_t>(end - offset);
}

Result<> FatVolume::write(BlockQueue& lane, FatNode node, uint64_t offset,
                          std::span<const std::byte> in) {
  const FatFileLock lock = TRY(impl_->lock_file(node));
  return impl_->write(lane, *lock.file, offset, in);
}

Result<uint64_t> FatVolume::append(BlockQueue& lane, FatNode node, std::span<const std::byte> in) {
  const FatFileLock lock = TRY(impl_->lock_file(node));
  const uint64_t offset = lock.file->slot.size;
  TRY_VOID(impl_->write(lane, *lock.file, offset, in));
  return offset;
}

Result<> FatVolume::truncate(BlockQueue& lane, FatNode node, uint64_t size) {
  const FatFileLock lock = TRY(impl_->lock_file(node));
  return impl_->resize(lane, *lock.file, size);
}

Result<> FatVolume::preallocate(BlockQueue& lane, FatNode node, uint64_t size) {
  const FatFileLock lock = TRY(impl_->lock_file(node));
  return impl_->preallocate(lane, *lock.file, size);
}

Result<> FatVolume::sync_file(BlockQueue& lane, FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  TRY(impl_->node(node));
  return impl_->core->cycle(lane);
}

}  // namespace splitring
