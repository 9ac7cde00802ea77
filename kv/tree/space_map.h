// Which pages of the store are in use: a bitmap page for each region of 32768 pages, tables of
// pointers to them above it, at places fixed when the store was made.
//
// Each page of the map has two places and the pointer to it says which one counts: a checkpoint
// writes what it changed to the other one, so that the generation before stays whole, and writing
// the map allocates nothing. Bitmaps are read when they are first needed.
//
// In memory a page is free, reserved (allocated, in no generation yet), used (by the trees of the
// present generation or a snapshot), or resting: freed by a checkpoint, but somebody may still look
// at it (epochs.h), so it is not given out again yet. A free page is stale while the disk may still
// keep what was written to it since the store was opened: worth a discard.
//
// Any thread; I/O is done on the caller's lane, within the map's own lock.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kv/tree/epochs.h"
#include "kv/tree/page_io.h"

namespace splitring::kv {

struct PageRun {
  uint64_t first = 0;
  uint64_t count = 0;
  bool operator==(const PageRun&) const = default;
};

class SpaceMap {
 public:
  static constexpr uint64_t kRegionPages = uint64_t{kPageBytes} * 8;
  static constexpr uint64_t kPointersOfTable = kPageBytes / sizeof(DiskMapPointer);

  struct Area {
    uint64_t pages = 0;       // of the store
    uint64_t map_first = 0;   // where the map lies
    uint64_t data_first = 0;  // what it gives out: from here ...
    uint64_t data_end = 0;    // ... to before here
  };
  // Pages that the map of a store takes.
  [[nodiscard]] static uint64_t map_pages(uint64_t pages);

  // Reads the tables. kIo, kInvalid: they are not what was written.
  static Result<std::unique_ptr<SpaceMap>> open(const Area& area, const DiskMapPointer& root,
                                                Epochs& epochs, BlockQueue& lane);

  // From here on allocation begins at the low end again.
  void rewind();
  // Neighbouring pages, reserved: at least one, at most `most`. kNoSpace.
  Result<PageRun> allocate(uint64_t most, BlockQueue& lane);
  // For what is not in a transaction yet: leaves as many pages free as are withheld. kNoSpace.
  Result<PageRun> allocate_spare(uint64_t most, BlockQueue& lane);
  void withhold(uint64_t pages);
  // What allocate_spare() would give, without looking for pages that nobody reads any more.
  [[nodiscard]] uint64_t spare_pages() const;
  // Reserves exactly these, for a replay. kInvalid: outside, or not free.
  Result<> reserve(PageRun run, BlockQueue& lane);
  // Reserved, and never to be seen by anyone.
  enum class Content : uint8_t { kWritten, kUntouched, kDiscarded };
  void give_back(PageRun run, Content content = Content::kWritten);

  // What a generation uses and no longer uses; then the map's changed pages go to the disk.
  // Returns the root. After an error the map is of no use for another generation.
  Result<DiskMapPointer> write(std::span<const PageRun> used, std::span<const PageRun> freed,
                               uint64_t generation, BlockQueue& lane);
  // That generation is durable and in view: what it freed rests from now on.
  void rest(std::vector<PageRun> freed);
  // Gives what has rested long enough back for use.
  void collect();

  [[nodiscard]] uint64_t free_pages() const;
  [[nodiscard]] uint64_t resting_pages() const;
  [[nodiscard]] uint64_t data_pages() const { return area_.data_end - area_.data_first; }
  // One past the last page that is not free, as far as it is known.
  [[nodiscard]] uint64_t high_water() const;

  // For a discard: reserves a run of free pages at or behind `from`, or of stale ones as far behind
  // as there is one, and returns it; none: there is none.
  Result<std::optional<PageRun>> reserve_free(uint64_t from, uint64_t most, BlockQueue& lane);
  std::optional<PageRun> reserve_stale(uint64_t least, uint64_t most);
  [[nodiscard]] uint64_t stale_pages() const;
  // The bitmap of a region as the present generation has it on the disk.
  Result<std::vector<uint64_t>> used_bits(uint64_t region, BlockQueue& lane);
  [[nodiscard]] uint64_t regions() const { return regions_.size(); }

 private:
  using Bits = std::array<uint64_t, kRegionPages / 64>;
  struct Region {
    std::unique_ptr<Bits> used;  // null: not read yet
    std::unique_ptr<Bits> busy;  // used, reserved or resting; or not the map's to give
    std::unique_ptr<Bits> stale;
    uint64_t free = 0;         // not busy
    uint64_t stale_count = 0;  // and not busy
    bool dirty = false;
  };
  struct Resting {
    uint64_t epoch;
    std::vector<PageRun> runs;
  };

  SpaceMap(const Area& area, Epochs& epochs) : area_(area), epochs_(epochs) {}
  Result<> read_tables(const DiskMapPointer& root, BlockQueue& lane);
  [[nodiscard]] uint64_t place_of(size_t level, uint64_t index, uint8_t place) const;
  Result<> read_map_page(size_t level, uint64_t index, const DiskMapPointer& pointer,
                         std::span<std::byte> out, BlockQueue& lane) const;
  Result<> load(uint64_t region, BlockQueue& lane);
  Result<> load_all(std::span<const PageRun> runs, BlockQueue& lane);
  [[nodiscard]] uint64_t pages_in(uint64_t region) const;
  [[nodiscard]] bool ours(PageRun run) const;
  // The next run of at least `least` free pages in [from, end), in one region; none: there is none.
  Result<std::optional<PageRun>> find_free(uint64_t from, uint64_t end, uint64_t least,
                                           uint64_t most, BlockQueue& lane);
  Result<PageRun> allocate_locked(uint64_t most, BlockQueue& lane);
  void set_busy(PageRun run, bool busy);
  void set_stale(PageRun run, bool stale);
  Result<DiskMapPointer> write_page(size_t level, uint64_t index, uint64_t generation,
                                    Bytes content, uint64_t free, PageWriter& writer);
  void collect_locked();

  const Area area_;
  Epochs& epochs_;
  mutable std::mutex mutex_;  // of all below
  std::vector<Region> regions_;
  std::vector<std::vector<DiskMapPointer>> pointers_;  // by level: of bitmaps, of tables, ...
  std::deque<Resting> resting_;
  uint64_t free_ = 0;
  uint64_t withheld_ = 0;
  uint64_t resting_count_ = 0;
  uint64_t stale_count_ = 0;
  uint64_t cursor_ = 0;  // where allocation goes on
  uint64_t high_water_ = 0;
};

}  // namespace splitring::kv
