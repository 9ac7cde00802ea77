// Making, opening and closing a store (store.h).
#include <sys/random.h>

#include <algorithm>

#include "kv/tree/branch_merge.h"
#include "kv/tree/cursor.h"
#include "kv/tree/memtable_fill.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

constexpr uint64_t kLeastPages = (uint64_t{1} << 20) / kPageBytes;
constexpr uint64_t kMostPages = uint64_t{1} << 38;
constexpr uint64_t kLeastRing = uint64_t{64} << 10;
constexpr uint64_t kMostRing = uint64_t{1} << 30;
constexpr uint64_t kRingByDefault = uint64_t{32} << 20;
constexpr uint64_t kMostPosition = uint64_t{1} << 62;  // of the ring
constexpr uint64_t kSlots = 4;

Hash hash_of_super(const DiskSuperblock& super) {
  return hash_of(std::as_bytes(std::span(&super, 1)).first(offsetof(DiskSuperblock, hash_low)));
}

// The slot of a superblock on a store of so many pages.
uint64_t slot_page(uint64_t slot, uint64_t pages) {
  return slot < 2 ? slot : pages - kSlots + slot;
}

Result<DiskSuperblock> read_super(BlockQueue& lane, uint64_t page) {
  const auto memory = TRY(LaneMemory::allocate(lane, kPageBytes));
  TRY_VOID(lane.read(sector_of_page(page), memory.bytes()));
  DiskSuperblock super;
  std::memcpy(&super, memory.bytes().data(), sizeof super);
  return super;
}

bool looks_whole(const DiskSuperblock& super) {
  return super.magic == kSuperMagic &&
         hash_of_super(super) == Hash{super.hash_low, super.hash_high};
}

// The newest of those that are whole. A disk that grew still has its last two where they were.
Result<DiskSuperblock> newest_super(BlockQueue& lane, uint64_t disk_pages) {
  std::optional<DiskSuperblock> newest;
  bool any_magic = false;
  uint64_t pages = disk_pages;
  for (uint64_t slot = 0; slot < kSlots; slot++) {
    const uint64_t page = slot_page(slot, pages);
    if (page >= disk_pages) continue;
    const auto super = read_super(lane, page);
    if (!super) {
      if (slot == kSlots - 1 && !newest) return super;
      continue;  // one of the others may do
    }
    any_magic = any_magic || super->magic == kSuperMagic;
    if (!looks_whole(*super)) continue;
    if (super->pages >= kLeastPages && super->pages <= disk_pages) pages = super->pages;
    if (!newest || super->generation > newest->generation) newest = *super;
  }
  if (newest) return *newest;
  if (any_magic) return fail(Errc::kIo, "none of the store's four superblocks is what was written");
  return fail(Errc::kNotFound, "there is no store on this disk");
}

// Whether this program knows enough of the format to do what it is asked for.
Result<> knows_format(const DiskSuperblock& super, bool read_only) {
  const auto later = [](const std::string& what) {
    return fail(Errc::kUnsupported,
                "the store was made by a later version of this program: " + what);
  };
  if (super.version != kFormatVersion)
    return later("its format is version " + std::to_string(super.version));
  if (const uint64_t unknown = super.features.incompatible; unknown != 0)
    return later("it needs features that this one does not have (incompatible bits " +
                 std::to_string(unknown) + ")");
  if (const uint64_t unknown = super.features.read_only_compatible; unknown != 0 && !read_only)
    return later("it can be read, but not changed (read-only compatible bits " +
                 std::to_string(unknown) + "): open it read only");
  return {};
}

Result<uint64_t> pages_of(const BlockDevice& device) {
  const uint64_t pages = device.geometry().capacity.count / kSectorsOfPage;
  if (pages < kLeastPages) return fail(Errc::kInvalid, "a store needs 1 MiB at least");
  return std::min(pages, kMostPages);
}

// So that no commit has to wait for a file system below to find room for it.
Result<> write_zeroes_to(uint64_t first_page, uint64_t pages, BlockQueue& lane) {
  constexpr uint64_t kPagesAtOnce = 256;
  const auto memory = TRY(LaneMemory::allocate(lane, std::min(pages, kPagesAtOnce) * kPageBytes));
  std::ranges::fill(memory.bytes(), std::byte{0});
  for (uint64_t at = 0; at < pages; at += kPagesAtOnce)
    TRY_VOID(lane.write(sector_of_page(first_page + at),
                        memory.bytes().first(std::min(kPagesAtOnce, pages - at) * kPageBytes)));
  return {};
}

}  // namespace

TreeStore::Layout TreeStore::Layout::of(uint64_t pages, uint64_t ring_pages) {
  Layout layout;
  layout.pages = pages;
  layout.ring_first = 2;
  layout.ring_pages = ring_pages;
  layout.map_first = layout.ring_first + ring_pages;
  layout.map_pages = SpaceMap::map_pages(pages);
  layout.data_first = layout.map_first + layout.map_pages;
  layout.data_end = pages - 2;
  return layout;
}

TreeStore::TreeStore(BlockDevice& device, const DiskSuperblock& super, const StoreOptions& options)
    : device_(device),
      read_only_(options.read_only || device.geometry().read_only),
      layout_(Layout::of(super.pages, super.ring_pages)),
      id_low_(super.store_id_low),
      id_high_(super.store_id_high),
      compatible_features_(super.features.compatible),
      discard_above_bytes_(options.discard_above_bytes),
      can_discard_(options.discard && !read_only_ &&
                   device.geometry().discard_granularity_bytes != 0),
      ring_({.first_page = layout_.ring_first,
             .bytes = layout_.ring_pages * kPageBytes,
             .block_bytes = device.geometry().logical_block_bytes,
             .store_id = id_low_},
            {.at = super.ring_position,
             .hash = {super.ring_hash_low, super.ring_hash_high},
             .durable = super.ring_position}) {
  checkpoint_bytes_ = std::min(layout_.ring_pages * kPageBytes * 3 / 8, kMostReplayedBytes / 2);
  active_from_ = super.ring_position;
  // Counts are for show; what makes no sense was written by a version that counted wrongly.
  const auto count = [&](uint64_t pages) {
    return pages < layout_.pages ? static_cast<int64_t>(pages) : int64_t{0};
  };
  on_disk_ = {.map_root = super.map_root,
              .ring = ring_.end(),
              .sequence = super.sequence,
              .leaf_pages = count(super.leaf_pages),
              .inner_pages = count(super.inner_pages),
              .value_pages = count(super.value_pages)};
  leaf_pages_ = on_disk_.leaf_pages;
  inner_pages_ = on_disk_.inner_pages;
  value_pages_ = on_disk_.value_pages;
}

Result<> TreeStore::create(BlockDevice& device, const CreateOptions& options) {
  const uint64_t pages = TRY(pages_of(device));
  if (device.geometry().read_only) return fail(Errc::kPermission, "the disk is read only");
  const auto lane = TRY(device.open_queue({}));
  if (!options.overwrite) {
    const auto there = newest_super(*lane, pages);
    if (there || there.error().code != Errc::kNotFound)
      return fail(Errc::kExists, "there is a store on " + device.name() + " already");
  }
  uint64_t ring = options.ring_bytes;
  if (ring == 0) ring = std::clamp(pages * kPageBytes / 16, kLeastRing, kRingByDefault);
  if (ring < kLeastRing || ring > kMostRing || ring > pages * kPageBytes / 2)
    return fail(Errc::kInvalid, "the ring takes 64 KiB to 1 GiB, and half of the disk at most");
  DiskSuperblock super;
  super.pages = pages;
  super.ring_pages = ring / kPageBytes;
  uint64_t id[2];
  if (::getrandom(id, sizeof id, 0) != sizeof id) return fail_errno("getrandom", errno);
  super.store_id_low = id[0];
  super.store_id_high = id[1];
  // No batch of an earlier store is one of this one's: their hashes begin with its id.
  const Hash first = hash_of(std::as_bytes(std::span(id)));
  super.ring_hash_low = first.low;
  super.ring_hash_high = first.high;
  const std::unique_ptr<TreeStore> store(new TreeStore(device, super, {}));
  if (store->layout_.data_first + 16 > store->layout_.data_end)
    return fail(Errc::kInvalid, "the disk is too small for such a ring");
  TRY_VOID(write_zeroes_to(store->layout_.ring_first, store->layout_.ring_pages, *lane));
  State state;
  // Both generations that an open may find are this store's.
  for (state.generation = 1; state.generation <= 2; state.generation++)
    TRY_VOID(store->write_superblock(state, store->on_disk_, *lane));
  return {};
}

Result<std::unique_ptr<TreeStore>> TreeStore::open(BlockDevice& device,
                                                   const StoreOptions& options) {
  const uint64_t disk_pages = TRY(pages_of(device));
  const auto lane = TRY(device.open_queue({}));
  const DiskSuperblock super = TRY(newest_super(*lane, disk_pages));
  const bool read_only = options.read_only || device.geometry().read_only;
  TRY_VOID(knows_format(super, read_only));
  const uint64_t ring = super.ring_pages;
  const bool sound = super.page_bytes == kPageBytes && super.pages >= kLeastPages &&
                     super.pages <= disk_pages && ring >= kLeastRing / kPageBytes &&
                     ring <= kMostRing / kPageBytes && ring < super.pages &&
                     super.ring_position % kSectorSize == 0 && super.ring_position < kMostPosition;
  if (!sound) return fail(Errc::kInvalid, "the store is larger than its disk, or makes no sense");
  std::unique_ptr<TreeStore> store(new TreeStore(device, super, options));
  const Layout& layout = store->layout_;
  if (super.ring_first != layout.ring_first || super.map_first != layout.map_first ||
      super.map_pages != layout.map_pages || super.data_first != layout.data_first ||
      layout.data_first >= layout.data_end)
    return fail(Errc::kInvalid, "the superblock's parts do not fit together");
  store->cache_ = TRY(PageCache::create(options.cache_bytes, store->epochs_));
  store->space_ = TRY(SpaceMap::open({.pages = layout.pages,
                                      .map_first = layout.map_first,
                                      .data_first = layout.data_first,
                                      .data_end = layout.data_end},
                                     super.map_root, store->epochs_, *lane));
  OwnedSlot slot(TRY(store->epochs_.claim(false)));
  PageReader reader(*lane, *store->cache_, store->epochs_, layout.pages);
  reader.set_slot(*slot);
  auto state = std::make_unique<State>();
  TRY_VOID(store->read_catalogue(reader, super, *state));
  TRY_VOID(store->replay(*lane, *state));
  store->publish([&](State& next) { next = *state; });
  store->withhold_space();
  if (options.background && !read_only) {
    store->has_thread_ = true;
    store->thread_ = std::thread([&kept = *store] { kept.run_checkpoints(); });
  }
  return store;
}

Result<> TreeStore::read_catalogue(PageReader& reader, const DiskSuperblock& super, State& state) {
  state.generation = super.generation;
  state.catalogue = {.pointer = {.page = super.catalogue.page,
                                 .birth = super.catalogue.birth,
                                 .hash = {super.catalogue.hash_low, super.catalogue.hash_high}},
                     .level = super.catalogue_level};
  if (state.catalogue.pointer.page >= layout_.pages ||
      state.catalogue.level >= PageReader::kMostLevels)
    return fail(Errc::kInvalid, "the catalogue lies outside the store");
  TreePosition at(state.catalogue, reader);
  TRY_VOID(at.seek({}));
  while (at.valid()) {
    if (state.is_full()) return fail(Errc::kInvalid, "the catalogue is too long");
    TRY_VOID(add_from_catalogue(at.key(), at.payload(), layout_.pages, state));
    TRY_VOID(at.next());
  }
  if (state.branch(kMainBranch) == nullptr)
    state.branches.push_back(
        {.number = kMainBranch, .name = "main", .root = {}, .held = 0, .origin = 0});
  std::ranges::sort(state.branches, {}, &Branch::number);
  state.last_branch = state.branches.back().number;
  std::ranges::sort(state.snapshots, {}, &SnapshotRecord::generation);
  return {};
}

Result<> TreeStore::replay(BlockQueue& lane, State& state) {
  state.active = std::make_shared<Memtable>();
  // A change takes more than that, so there are not more of them.
  constexpr uint64_t kLeastChange = sizeof(DiskChange) + kBranchBytes + kTreeBytes;
  MemtableFill filling =
      TRY(MemtableFill::begin(*state.active, layout_.ring_pages * kPageBytes / kLeastChange));
  auto found = TRY(ring_.replay(lane, [&](const RingLog::Replayed& change) -> Result<> {
    const auto kind = static_cast<ChangeKind>(change.kind);
    if (change.sequence <= on_disk_.sequence || change.key.size() < kBranchBytes + kTreeBytes ||
        change.key.size() > kBranchBytes + kMaxPageKeyBytes || kind < ChangeKind::kPut ||
        kind > ChangeKind::kMoved)
      return fail(Errc::kInvalid, "a change in the ring makes no sense");
    // Of a branch that was removed while somebody wrote to it.
    if (state.branch(load_be32(change.key)) == nullptr) return {};
    if (kind == ChangeKind::kPut && load_be32(change.key.substr(kBranchBytes)) == kSegmentTree) {
      const auto segment = Segment::parse(change.payload, layout_.pages);
      if (!segment || change.key.size() != kBranchBytes + kTreeBytes + kSegmentKeyBytes)
        return fail(Errc::kInvalid, "a value's segment in the ring is malformed");
      TRY_VOID(space_->reserve({segment->page, segment->pages()}, lane));
    }
    filling.add(change.key, kind, change.payload, change.sequence);
    return {};
  }));
  filling.finish(std::move(found.memory));
  const uint64_t last = found.last_sequence;
  last_sequence_ = std::max(on_disk_.sequence, last);
  if (!read_only_) {
    Opening opening{.sequence = ++last_sequence_, .salt = 0};
    if (::getrandom(&opening.salt, sizeof opening.salt, 0) != sizeof opening.salt)
      return fail_errno("getrandom", errno);
    opening_ = opening;
  }
  durable_ = last_sequence_;
  must_flush_ = last_sequence_;
  state.active->visible.store(last_sequence_);
  // What was read may be in the disk's cache only: transactions that are going to be shown, and the
  // superblock, which says what may be written over.
  if (!read_only_) TRY_VOID(lane.flush());
  return {};
}

TreeStore::~TreeStore() {
  stop_thread();
  delete state_.load();
}

Result<> TreeStore::close() {
  stop_thread();
  has_thread_ = false;
  if (read_only_) return {};
  const auto last = TRY(session());
  TRY_VOID(last->checkpoint());
  const std::lock_guard lock(checkpoint_mutex_);
  discard_freed(*last->lane_, 0);
  return {};
}

Result<std::unique_ptr<Session>> TreeStore::session() {
  OwnedSlot slot(TRY(epochs_.claim(false)));
  OwnedSlot writing(TRY(epochs_.claim(true)));
  auto lane = TRY(device_.open_queue({}));
  return std::unique_ptr<Session>(
      new Session(*this, std::move(lane), std::move(slot), std::move(writing)));
}

StoreStat TreeStore::stat() const {
  StoreStat stat;
  stat.pages = layout_.pages;
  stat.free = space_->free_pages();
  stat.resting = space_->resting_pages();
  const auto count = [](int64_t pages) {
    return static_cast<uint64_t>(std::max<int64_t>(pages, 0));
  };
  stat.leaf = count(leaf_pages_.load());
  stat.inner = count(inner_pages_.load());
  stat.value = count(value_pages_.load());
  stat.ring = layout_.ring_pages;
  stat.map = layout_.map_pages;
  stat.high_water = space_->high_water();
  stat.discarded = discarded_.load(std::memory_order_relaxed);
  const uint64_t known = stat.free + stat.resting + stat.leaf + stat.inner + stat.value;
  const uint64_t data = layout_.data_end - layout_.data_first;
  stat.snapshot = data - std::min(data, known);
  const std::lock_guard log_lock(log_mutex_);
  const std::lock_guard state_lock(state_mutex_);
  const State& state = *state_.load(std::memory_order_acquire);
  stat.generation = state.generation;
  stat.memory_keys = state.active->keys() + (state.frozen ? state.frozen->keys() : 0);
  stat.transactions = durable_;
  stat.ring_used_bytes = ring_.used_bytes();
  return stat;
}

}  // namespace splitring::kv
