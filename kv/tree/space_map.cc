#include "kv/tree/space_map.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace splitring::kv {
namespace {

constexpr uint64_t kRegion = SpaceMap::kRegionPages;
// Holes smaller than this are left alone while larger ones are to be had: one write fills a hole.
constexpr uint64_t kWorthFilling = 8;

bool is_set(std::span<const uint64_t> bits, uint64_t i) {
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}

void set(std::span<uint64_t> bits, uint64_t i, bool value) {
  const uint64_t bit = uint64_t{1} << (i % 64);
  if (value)
    bits[i / 64] |= bit;
  else
    bits[i / 64] &= ~bit;
}

// The first bit from `from` on that is `value`; `end` if none before it is.
uint64_t next_bit(std::span<const uint64_t> bits, uint64_t from, uint64_t end, bool value) {
  while (from < end) {
    const uint64_t word = (value ? bits[from / 64] : ~bits[from / 64]) >> (from % 64);
    if (word != 0)
      return std::min<uint64_t>(from + static_cast<unsigned>(std::countr_zero(word)), end);
    from = (from / 64 + 1) * 64;
  }
  return end;
}

}  // namespace

uint64_t SpaceMap::map_pages(uint64_t pages) {
  uint64_t count = (pages + kRegion - 1) / kRegion;
  uint64_t sum = 2 * count;
  while (count > 1) {
    count = (count + kPointersOfTable - 1) / kPointersOfTable;
    sum += 2 * count;
  }
  return sum;
}

Result<std::unique_ptr<SpaceMap>> SpaceMap::open(const Area& area, const DiskMapPointer& root,
                                                 Epochs& epochs, BlockQueue& lane) {
  std::unique_ptr<SpaceMap> map(new SpaceMap(area, epochs));
  map->regions_.resize((area.pages + kRegion - 1) / kRegion);
  TRY_VOID(map->read_tables(root, lane));
  for (uint64_t i = 0; i < map->regions_.size(); i++) {
    const DiskMapPointer& pointer = map->pointers_[0][i];
    const bool fresh = pointer.generation == 0;
    const uint64_t ours = map->pages_in(i);
    if (!fresh && pointer.free_pages > ours)
      return fail(Errc::kInvalid, "the space map counts more free pages than there are");
    map->regions_[i].free = fresh ? ours : uint64_t{pointer.free_pages};
    map->free_ += map->regions_[i].free;
    if (map->regions_[i].free != ours)
      map->high_water_ = std::min((i + 1) * kRegion, area.data_end);
  }
  map->high_water_ = std::max(map->high_water_, area.data_first);
  map->cursor_ = area.data_first;
  return map;
}

Result<> SpaceMap::read_tables(const DiskMapPointer& root, BlockQueue& lane) {
  for (uint64_t count = regions_.size();;
       count = (count + kPointersOfTable - 1) / kPointersOfTable) {
    pointers_.emplace_back(count);
    if (count == 1) break;
  }
  pointers_.back()[0] = root;
  std::vector<std::byte> page(kPageBytes);
  for (size_t level = pointers_.size() - 1; level > 0; level--) {
    for (uint64_t i = 0; i < pointers_[level].size(); i++) {
      if (pointers_[level][i].generation == 0) continue;
      TRY_VOID(read_map_page(level, i, pointers_[level][i], page, lane));
      const uint64_t first = i * kPointersOfTable;
      const uint64_t count = std::min(kPointersOfTable, pointers_[level - 1].size() - first);
      std::memcpy(pointers_[level - 1].data() + first, page.data(), count * sizeof(DiskMapPointer));
    }
  }
  return {};
}

uint64_t SpaceMap::place_of(size_t level, uint64_t index, uint8_t place) const {
  uint64_t at = area_.map_first;
  for (size_t i = 0; i < level; i++) at += 2 * pointers_[i].size();
  return at + 2 * index + (place & 1U);
}

Result<> SpaceMap::read_map_page(size_t level, uint64_t index, const DiskMapPointer& pointer,
                                 std::span<std::byte> out, BlockQueue& lane) const {
  const uint64_t page = place_of(level, index, pointer.place);
  const auto memory = TRY(LaneMemory::allocate(lane, kPageBytes));
  TRY_VOID(lane.read(sector_of_page(page), memory.bytes()));
  std::memcpy(out.data(), memory.bytes().data(), kPageBytes);
  if (hash_of(out, pointer.generation) != Hash{pointer.hash_low, pointer.hash_high})
    return fail(Errc::kIo, "page " + std::to_string(page) + " of the space map is not what was " +
                               "written there in generation " + std::to_string(pointer.generation));
  return {};
}

uint64_t SpaceMap::pages_in(uint64_t region) const {
  const uint64_t first = std::max(region * kRegion, area_.data_first);
  const uint64_t end = std::min((region + 1) * kRegion, area_.data_end);
  return first < end ? end - first : 0;
}

bool SpaceMap::ours(PageRun run) const {
  return run.count != 0 && run.first >= area_.data_first &&
         in_range(run.first, run.count, area_.data_end);
}

Result<> SpaceMap::load(uint64_t index, BlockQueue& lane) {
  Region& region = regions_[index];
  if (region.used != nullptr) return {};
  auto used = std::make_unique<Bits>();
  used->fill(0);
  const DiskMapPointer& pointer = pointers_[0][index];
  if (pointer.generation != 0)
    TRY_VOID(read_map_page(0, index, pointer, std::as_writable_bytes(std::span(*used)), lane));
  auto busy = std::make_unique<Bits>(*used);
  uint64_t free = 0;
  for (uint64_t i = 0; i < kRegion; i++) {
    const uint64_t page = index * kRegion + i;
    const bool ours = page >= area_.data_first && page < area_.data_end;
    if (!ours) set(*busy, i, true);
    if (!ours && is_set(*used, i))
      return fail(Errc::kInvalid, "the space map marks a page that is not its own");
    free += is_set(*busy, i) ? 0 : 1;
  }
  if (free != region.free)
    return fail(Errc::kInvalid, "a page of the space map has another count of free pages than is " +
                                    std::string("said of it"));
  region.used = std::move(used);
  region.busy = std::move(busy);
  region.stale = std::make_unique<Bits>();
  region.stale->fill(0);
  return {};
}

Result<> SpaceMap::load_all(std::span<const PageRun> runs, BlockQueue& lane) {
  for (const PageRun& run : runs) {
    if (!ours(run)) return fail(Errc::kInvalid, "pages outside the store are said to be in use");
    for (uint64_t i = run.first / kRegion; i <= (run.first + run.count - 1) / kRegion; i++)
      TRY_VOID(load(i, lane));
  }
  return {};
}

void SpaceMap::set_busy(PageRun run, bool busy) {
  for (uint64_t page = run.first; page < run.first + run.count; page++) {
    Region& region = regions_[page / kRegion];
    if (is_set(*region.busy, page % kRegion) == busy) continue;
    set(*region.busy, page % kRegion, busy);
    region.free = busy ? region.free - 1 : region.free + 1;
    free_ = busy ? free_ - 1 : free_ + 1;
    if (!is_set(*region.stale, page % kRegion)) continue;
    region.stale_count = busy ? region.stale_count - 1 : region.stale_count + 1;
    stale_count_ = busy ? stale_count_ - 1 : stale_count_ + 1;
  }
  if (busy) high_water_ = std::max(high_water_, run.first + run.count);
}

// Precondition: free pages.
void SpaceMap::set_stale(PageRun run, bool stale) {
  for (uint64_t page = run.first; page < run.first + run.count; page++) {
    Region& region = regions_[page / kRegion];
    if (is_set(*region.stale, page % kRegion) == stale) continue;
    set(*region.stale, page % kRegion, stale);
    region.stale_count = stale ? region.stale_count + 1 : region.stale_count - 1;
    stale_count_ = stale ? stale_count_ + 1 : stale_count_ - 1;
  }
}

Result<std::optional<PageRun>> SpaceMap::find_free(uint64_t from, uint64_t end, uint64_t least,
                                                   uint64_t most, BlockQueue& lane) {
  while (from < end) {
    const uint64_t index = from / kRegion;
    const uint64_t end_of_region = std::min((index + 1) * kRegion, end);
    if (regions_[index].free >= least) {
      TRY_VOID(load(index, lane));
      const Bits& busy = *regions_[index].busy;
      uint64_t at = from % kRegion;
      const uint64_t stop = end_of_region - index * kRegion;
      while ((at = next_bit(busy, at, stop, false)) < stop) {
        const uint64_t last = next_bit(busy, at, std::min(stop, at + most), true);
        if (last - at >= least) return std::optional(PageRun{index * kRegion + at, last - at});
        at = last;
      }
    }
    from = end_of_region;
  }
  return std::optional<PageRun>();
}

void SpaceMap::rewind() {
  const std::lock_guard lock(mutex_);
  collect_locked();
  cursor_ = area_.data_first;
}

Result<PageRun> SpaceMap::allocate(uint64_t most, BlockQueue& lane) {
  const std::lock_guard lock(mutex_);
  return allocate_locked(most, lane);
}

Result<PageRun> SpaceMap::allocate_spare(uint64_t most, BlockQueue& lane) {
  const std::lock_guard lock(mutex_);
  if (free_ < withheld_ + most) collect_locked();
  if (free_ <= withheld_)
    return fail(Errc::kNoSpace, "the store is full: remove keys, snapshots or branches");
  return allocate_locked(std::min(most, free_ - withheld_), lane);
}

void SpaceMap::withhold(uint64_t pages) {
  const std::lock_guard lock(mutex_);
  withheld_ = pages;
}

uint64_t SpaceMap::spare_pages() const {
  const std::lock_guard lock(mutex_);
  return free_ - std::min(free_, withheld_);
}

Result<PageRun> SpaceMap::allocate_locked(uint64_t most, BlockQueue& lane) {
  if (free_ == 0) collect_locked();
  // Small holes are worth their writes once they are most of what lies below the high water.
  const uint64_t below = high_water_ - area_.data_first;
  const uint64_t behind = area_.data_end - high_water_;
  const uint64_t holes = free_ - std::min(free_, behind);
  const uint64_t least = std::min(most, holes * 2 > below ? uint64_t{1} : kWorthFilling);
  std::optional<PageRun> run = TRY(find_free(cursor_, area_.data_end, least, most, lane));
  if (!run) run = TRY(find_free(area_.data_first, area_.data_end, 1, most, lane));
  if (!run)
    return fail(Errc::kNoSpace, "the store is full: " + std::to_string(resting_count_) +
                                    " pages are still being looked at");
  set_busy(*run, true);
  cursor_ = run->first + run->count;
  return *run;
}

Result<> SpaceMap::reserve(PageRun run, BlockQueue& lane) {
  const std::lock_guard lock(mutex_);
  TRY_VOID(load_all(std::span(&run, 1), lane));
  for (uint64_t page = run.first; page < run.first + run.count; page++)
    if (is_set(*regions_[page / kRegion].busy, page % kRegion))
      return fail(Errc::kInvalid, "page " + std::to_string(page) + " is in use twice");
  set_busy(run, true);
  return {};
}

void SpaceMap::give_back(PageRun run, Content content) {
  if (run.count == 0) return;
  const std::lock_guard lock(mutex_);
  set_busy(run, false);
  if (content != Content::kUntouched) set_stale(run, content == Content::kWritten);
}

Result<DiskMapPointer> SpaceMap::write(std::span<const PageRun> used,
                                       std::span<const PageRun> freed, uint64_t generation,
                                       BlockQueue& lane) {
  const std::lock_guard lock(mutex_);
  TRY_VOID(load_all(used, lane));
  TRY_VOID(load_all(freed, lane));
  const auto mark = [&](std::span<const PageRun> runs, bool value) {
    for (const PageRun& run : runs)
      for (uint64_t page = run.first; page < run.first + run.count; page++) {
        Region& region = regions_[page / kRegion];
        set(*region.used, page % kRegion, value);
        region.dirty = true;
      }
  };
  mark(used, true);
  mark(freed, false);
  PageWriter writer(lane);
  std::vector<bool> dirty(regions_.size());
  for (uint64_t i = 0; i < regions_.size(); i++) {
    if (!regions_[i].dirty) continue;
    const Bits& bits = *regions_[i].used;
    uint64_t in_use = 0;
    for (const uint64_t word : bits) in_use += static_cast<unsigned>(std::popcount(word));
    pointers_[0][i] = TRY(
        write_page(0, i, generation, std::as_bytes(std::span(bits)), pages_in(i) - in_use, writer));
    regions_[i].dirty = false;
    dirty[i] = true;
  }
  for (size_t level = 1; level < pointers_.size(); level++) {
    std::vector<bool> above(pointers_[level].size());
    for (uint64_t i = 0; i < dirty.size(); i++)
      if (dirty[i]) above[i / kPointersOfTable] = true;
    for (uint64_t i = 0; i < above.size(); i++) {
      if (!above[i]) continue;
      const uint64_t first = i * kPointersOfTable;
      const uint64_t count = std::min(kPointersOfTable, pointers_[level - 1].size() - first);
      pointers_[level][i] = TRY(write_page(
          level, i, generation,
          std::as_bytes(std::span(pointers_[level - 1]).subspan(first, count)), 0, writer));
    }
    dirty = std::move(above);
  }
  TRY_VOID(writer.finish());
  return pointers_.back()[0];
}

Result<DiskMapPointer> SpaceMap::write_page(size_t level, uint64_t index, uint64_t generation,
                                            Bytes content, uint64_t free, PageWriter& writer) {
  const DiskMapPointer& old = pointers_[level][index];
  DiskMapPointer pointer;
  pointer.place = old.generation == 0 ? 0 : static_cast<uint8_t>((old.place & 1U) ^ 1U);
  pointer.generation = generation;
  pointer.free_pages = static_cast<uint32_t>(free);
  std::byte* const page = TRY(writer.place(place_of(level, index, pointer.place)));
  std::memcpy(page, content.data(), content.size());
  std::memset(page + content.size(), 0, kPageBytes - content.size());
  const Hash hash = hash_of({page, kPageBytes}, generation);
  pointer.hash_low = hash.low;
  pointer.hash_high = hash.high;
  return pointer;
}

void SpaceMap::rest(std::vector<PageRun> freed) {
  if (freed.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const PageRun& run : freed) resting_count_ += run.count;
  resting_.push_back({epochs_.retire(), std::move(freed)});
}

void SpaceMap::collect() {
  const std::lock_guard lock(mutex_);
  collect_locked();
}

void SpaceMap::collect_locked() {
  if (resting_.empty()) return;
  const uint64_t oldest = epochs_.oldest();
  while (!resting_.empty() && resting_.front().epoch < oldest) {
    for (const PageRun& run : resting_.front().runs) {
      set_busy(run, false);
      set_stale(run, true);
      resting_count_ -= run.count;
    }
    resting_.pop_front();
  }
}

uint64_t SpaceMap::free_pages() const {
  const std::lock_guard lock(mutex_);
  return free_;
}

uint64_t SpaceMap::resting_pages() const {
  const std::lock_guard lock(mutex_);
  return resting_count_;
}

uint64_t SpaceMap::high_water() const {
  const std::lock_guard lock(mutex_);
  return high_water_;
}

Result<std::optional<PageRun>> SpaceMap::reserve_free(uint64_t from, uint64_t most,
                                                      BlockQueue& lane) {
  const std::lock_guard lock(mutex_);
  const auto run = TRY(find_free(std::max(from, area_.data_first), area_.data_end, 1, most, lane));
  if (run) set_busy(*run, true);
  return run;
}

std::optional<PageRun> SpaceMap::reserve_stale(uint64_t least, uint64_t most) {
  const std::lock_guard lock(mutex_);
  for (uint64_t index = regions_.size(); index-- > 0;) {
    if (regions_[index].stale_count < least) continue;
    Bits stale = *regions_[index].stale;
    for (size_t i = 0; i < stale.size(); i++) stale[i] &= ~(*regions_[index].busy)[i];
    PageRun last;
    uint64_t at = 0;
    while ((at = next_bit(stale, at, kRegion, true)) < kRegion) {
      const uint64_t end = next_bit(stale, at, std::min(kRegion, at + most), false);
      if (end - at >= least) last = {index * kRegion + at, end - at};
      at = end;
    }
    if (last.count == 0) continue;
    set_busy(last, true);
    return last;
  }
  return std::nullopt;
}

uint64_t SpaceMap::stale_pages() const {
  const std::lock_guard lock(mutex_);
  return stale_count_;
}

Result<std::vector<uint64_t>> SpaceMap::used_bits(uint64_t region, BlockQueue& lane) {
  const std::lock_guard lock(mutex_);
  TRY_VOID(load(region, lane));
  return std::vector<uint64_t>(regions_[region].used->begin(), regions_[region].used->end());
}

}  // namespace splitring::kv
