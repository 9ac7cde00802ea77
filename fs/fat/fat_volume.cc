#include "fs/fat/fat_volume.h"

#include <algorithm>
#include <ctime>
#include <shared_mutex>

#include "fs/disk_bytes.h"
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
  tzset();
  auto core = TRY(FatCore::open(lane, options));
  auto impl = std::make_unique<Impl>(std::move(core));
  TRY_VOID(impl->read_label(lane));
  return std::unique_ptr<FatVolume>(new FatVolume(std::move(impl)));
}

Result<> FatVolume::close(BlockQueue& lane) {
  const std::lock_guard lock(impl_->mutex);
  Result<> given_back;
  if (!impl_->core->closed())
    impl_->nodes.for_each([&](FatNodeState& node) {
      if (node.opens != 0 && given_back) given_back = impl_->give_back(lane, node);
    });
  TRY_VOID(std::move(given_back));
  return impl_->core->close(lane);
}

Result<bool> FatVolume::recover_some(BlockQueue& lane) {
  impl_->mutex.lock_last();
  const std::lock_guard lock(impl_->mutex, std::adopt_lock);
  return impl_->core->recover_some(lane);
}

Result<> FatVolume::sync(BlockQueue& lane) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->core->cycle(lane);
}

bool FatVolume::read_only() const { return impl_->core->options().read_only; }

FatSpace FatVolume::space() const {
  const std::lock_guard lock(impl_->mutex);
  const FatMap& map = impl_->core->map();
  return {.cluster_bytes = map.clusters().cluster_bytes,
          .clusters = map.clusters().clusters,
          .free_clusters = uint64_t{map.free_count()} + map.pending_count()};
}

std::vector<std::string> FatVolume::notes() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->core->notes();
}

FatVolumeInfo FatVolume::info() const {
  const FatSpace now = space();
  const std::lock_guard lock(impl_->mutex);
  FatVolumeInfo info = impl_->core->disk().info();
  info.label = impl_->label;
  info.space = now;
  info.was_dirty = impl_->core->was_dirty();
  return info;
}

uint64_t FatVolume::max_file_bytes() const { return impl_->core->limits().file_bytes; }

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
  FatFacts facts;
  facts.attributes = bits_of(flags);
  facts.created = facts.modified = facts.accessed = impl_->now();
  return impl_->stat_of(*TRY(impl_->make(lane, *parent, name, facts)));
}

Result<FatStat> FatVolume::make_directory(BlockQueue& lane, FatNode directory,
                                          std::string_view name) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const parent = TRY(impl_->directory_node(directory));
  FatFacts facts;
  facts.attributes = kFatDirectory;
  return impl_->stat_of(*TRY(impl_->make(lane, *parent, name, facts)));
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
    return fail(Errc::kPermission, "the root has no times and attributes");
  TRY_VOID(impl_->core->begin_change(lane));
  FatFacts& facts = found->facts;
  if (change.flags)
    facts.attributes =
        static_cast<uint8_t>((facts.attributes & ~kFlagBits) | bits_of(*change.flags));
  if (change.modified) facts.modified = impl_->stamp(*change.modified);
  if (change.accessed) facts.accessed = impl_->stamp(*change.accessed);
  if (change.created) facts.created = impl_->stamp(*change.created);
  return impl_->update(lane, *found);
}

// ---- files

Result<> FatVolume::open_file(BlockQueue& lane, FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  FatNodeState* const file = TRY(impl_->node(node));
  if (file->is_directory()) return fail(Errc::kInvalid, "a directory has no bytes");
  if (file->removed && file->opens == 0) return fail(Errc::kNotFound, "the file was removed");
  TRY_VOID(impl_->load_chain(lane, *file));
  file->opens++;
  return {};
}

Result<> FatVolume::close_file(BlockQueue& lane, FatNode node) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->close_file(lane, *TRY(impl_->open_node(node)));
}

Result<size_t> FatVolume::read(BlockQueue& lane, FatNode node, uint64_t offset,
                               std::span<std::byte> out) {
  std::unique_lock lock(impl_->mutex);
  FatNodeState& file = *TRY(impl_->open_node(node));
  lock.unlock();  // it stays: the caller has it open
  const std::shared_lock bytes(file.io);
  lock.lock();
  const uint64_t size = file.facts.size;
  const uint64_t end =
      offset >= size ? offset : offset + std::min<uint64_t>(out.size(), size - offset);
  const uint64_t written = std::clamp(file.facts.valid, offset, end);
  std::vector<DiskRange> pieces;
  TRY_VOID(impl_->for_each_piece(file, offset, written,
                                 [&](uint64_t at, uint64_t from, uint64_t part) -> Result<> {
                                   pieces.push_back({at, out.subspan(from - offset, part)});
                                   return impl_->core->settle(lane, at, part);
                                 }));
  lock.unlock();
  TRY_VOID(read_disk_ranges(lane, pieces));
  std::ranges::fill(out.subspan(written - offset, end - written), std::byte{0});
  return static_cast<size_t>(end - offset);
}

Result<> FatVolume::write(BlockQueue& lane, FatNode node, uint64_t offset,
                          std::span<const std::byte> in) {
  const FatFileLock lock = TRY(impl_->lock_file(node));
  return impl_->write(lane, *lock.file, offset, in);
}

Result<uint64_t> FatVolume::append(BlockQueue& lane, FatNode node, std::span<const std::byte> in) {
  const FatFileLock lock = TRY(impl_->lock_file(node));
  const uint64_t offset = lock.file->facts.size;
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
