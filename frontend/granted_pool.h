// A lane's pages: all that the backend can ever reach of this process, besides the rings.
//
// Every page is granted read-write to the backend once, zeroed, for as long as the pool lives, and
// its ref is used again and again, the latest first, so that a backend with persistent grants finds
// it mapped. Pages hold nothing but data of this disk: what is bounced to or from callers' memory,
// callers' own buffers out of allocate(), segment lists in pages that serve for nothing else, and
// one page of zeroes.
//
//   page 0 .. data_pages-1 | descriptor pages | zero page
//
// One owner thread at a time; no allocation but in create(). Pages are named by their index.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "grant/grant_share.h"

namespace splitring::frontend {

inline constexpr uint32_t kNoPage = UINT32_MAX;

class GrantedPool {
 public:
  // Fewer would not let a lane make progress with large requests.
  static constexpr uint32_t kMinPages = 64;
  // Data pages that allocate() leaves alone, so that bounced requests always get through.
  static constexpr uint32_t kBouncePages = 32;

  // `share` must outlive the pool. Errors: kInvalid below kMinPages; those of GrantShare::share.
  static Result<GrantedPool> create(GrantShare& share, DomId peer, uint32_t pages);

  // ---- single pages, last in first out -------------------------------------------------------
  [[nodiscard]] uint32_t free_pages() const { return free_pages_; }
  // Precondition: free_pages() != 0.
  uint32_t take_page() noexcept;
  void give_page(uint32_t page) noexcept;

  [[nodiscard]] bool has_descriptor() const { return !free_descriptors_.empty(); }
  // Precondition: has_descriptor().
  uint32_t take_descriptor() noexcept;
  void give_descriptor(uint32_t page) noexcept { free_descriptors_.push_back(page); }

  // ---- runs of pages for callers -------------------------------------------------------------
  // Page-aligned. kLimit when there is no such run or it would leave fewer than kBouncePages.
  Result<std::span<std::byte>> allocate(size_t bytes);
  // Precondition: allocate() returned it.
  void release(std::span<std::byte> run) noexcept;

  // ---- looking up ----------------------------------------------------------------------------
  struct Place {
    uint32_t page;
    uint32_t byte_offset;
  };
  // Where in the pool's data pages an address lies, if it does.
  [[nodiscard]] std::optional<Place> find(const void* address) const noexcept;
  [[nodiscard]] std::byte* address(uint32_t page) const { return pages_[page].address; }
  [[nodiscard]] uint32_t ref(uint32_t page) const { return pages_[page].ref; }
  [[nodiscard]] uint32_t zero_page() const { return data_pages_ + descriptor_pages_; }
  // A link for the owner's use while it holds the page.
  [[nodiscard]] uint32_t& next(uint32_t page) { return pages_[page].next; }
  [[nodiscard]] uint32_t data_pages() const { return data_pages_; }

 private:
  struct Page {
    std::byte* address;
    uint32_t ref;
    uint32_t next = kNoPage;
    bool used = false;
    bool stacked = true;  // on free_stack_, which may be out of date
  };
  // One share of the host's; pages within are contiguous in memory.
  struct Chunk {
    std::unique_ptr<SharedPages> shared;
    uint32_t first_page;
  };

  GrantedPool() = default;
  void lay_out();

  std::vector<Chunk> chunks_;
  std::vector<Page> pages_;
  uint32_t data_pages_ = 0;
  uint32_t descriptor_pages_ = 0;
  uint32_t free_pages_ = 0;
  // Every unused data page is on it once; used ones may be, and are then skipped.
  std::vector<uint32_t> free_stack_;
  std::vector<uint32_t> free_descriptors_;
};

}  // namespace splitring::frontend
