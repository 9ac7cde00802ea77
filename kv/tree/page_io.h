// Pages between memory and disk, for one thread: its lane, its frames of the page cache.
//
// Every page that comes from the disk is compared with the hash of its parent's pointer and checked
// from within before anybody sees it. Errors name the page and what was wrong: kIo for a page that
// is not what was written (it rotted, the write was lost, or went elsewhere), or the medium's.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "blkimage/block_device.h"
#include "fs/tar/lane_memory.h"
#include "kv/tree/page.h"
#include "kv/tree/page_cache.h"

namespace splitring::kv {

[[nodiscard]] inline Sectors sector_of_page(uint64_t page) { return {page * kSectorsOfPage}; }

class PageReader {
 public:
  static constexpr size_t kMostLevels = 16;
  static constexpr size_t kMostInFlight = 64;

  // All outlive the reader; `pages` is the size of the store.
  PageReader(BlockQueue& lane, PageCache& cache, Epochs& epochs, uint64_t pages);

  // Precondition: a read is pinned, until which the page stays; but one that found no room in the
  // cache only until the next call with the same level.
  Result<const std::byte*> fetch(const Pointer& pointer, unsigned level);
  // Null: it is not in memory. Precondition: a read is pinned.
  [[nodiscard]] const std::byte* cached(const Pointer& pointer) {
    return cache_.find(pointer.page);
  }
  // Null: it is not in memory as a page of that level. Precondition: a read is pinned.
  [[nodiscard]] const std::byte* cached(const Pointer& pointer, unsigned level) {
    const std::byte* const page = cache_.find(pointer.page);
    if (page == nullptr) return nullptr;
    // A search looks at these next.
    for (size_t line = 1; line < 5; line++) __builtin_prefetch(page + line * 64);
    return std::to_integer<unsigned>(page[1]) == level ? page : nullptr;
  }
  // Into the caller's memory, a page each; what is not in memory is read with many in flight and
  // does not go to the cache. No read is pinned meanwhile.
  Result<> copy(std::span<const Pointer> pointers, unsigned level, std::byte* out);
  struct Wanted {
    Pointer pointer;
    unsigned level;
  };
  // Those that are not in memory are read into the cache, as far as there is room, many in flight.
  // No read is pinned meanwhile. Errors are left to who fetches the page.
  void prefetch(std::span<const Wanted> wanted);

  // That what was read is the page that `pointer` means.
  [[nodiscard]] Result<> verify(const std::byte* page, const Pointer& pointer,
                                unsigned level) const;
  // A copy of a page that was verified; not if there is no room.
  void put_into_cache(const Pointer& pointer, const std::byte* page);

  [[nodiscard]] BlockQueue& lane() { return lane_; }
  [[nodiscard]] PageCache& cache() { return cache_; }
  [[nodiscard]] PageCache::Supply& supply() { return supply_; }
  [[nodiscard]] uint64_t pages() const { return pages_; }
  [[nodiscard]] Pin pin() { return Pin(epochs_, *slot_); }
  void set_slot(Epochs::Slot& slot) { slot_ = &slot; }

 private:
  struct Fetch : BlockRequest {
    iovec buffer{};
    Wanted wanted{};
    uint32_t frame = PageCache::kNoFrame;
    bool busy = false;
  };
  static void done(BlockRequest& request) noexcept;
  void start(Fetch& fetch, const Pointer& pointer, std::byte* into);
  Fetch& free_fetch();

  BlockQueue& lane_;
  PageCache& cache_;
  Epochs& epochs_;
  const uint64_t pages_;
  Epochs::Slot* slot_ = nullptr;
  PageCache::Supply supply_;
  std::vector<Fetch> fetches_;
  std::unique_ptr<std::byte[]> scratch_;  // a page for each level, when the cache has no room
};

// Writes pages, runs of neighbours in one request, several in flight.
class PageWriter {
 public:
  explicit PageWriter(BlockQueue& lane) : lane_(lane) {}
  // Precondition: finish() or abandon() was called.
  ~PageWriter() { abandon(); }

  // Where the content of `page` goes; the caller fills it before the next call of anything here.
  Result<std::byte*> place(uint64_t page);
  // All of them are written; one flush from durable.
  Result<> finish();
  void abandon() noexcept;

 private:
  static constexpr size_t kBuffers = 8;
  static constexpr size_t kRunPages = 64;
  struct Run : BlockRequest {
    LaneMemory memory;
    iovec buffer{};
    uint64_t page = 0;
    size_t count = 0;
    bool busy = false;
  };
  static void done(BlockRequest& request) noexcept { static_cast<Run&>(request).busy = false; }
  void start() noexcept;
  Result<> check();

  BlockQueue& lane_;
  std::array<Run, kBuffers> runs_;
  Run* filling_ = nullptr;
};

}  // namespace splitring::kv
