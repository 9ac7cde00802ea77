#include "frontend/granted_pool.h"

#include <algorithm>
#include <cassert>

namespace splitring::frontend {
namespace {

// Of one share: what a host grants in one go (wire::kMaxPagesPerShare, gntalloc's default limit).
constexpr uint32_t kChunkPages = 1024;
// A segment list goes with at least twelve data pages, or the request would not need it; most go
// with more, and a request that finds none left goes in direct pieces.
constexpr uint32_t kDataPagesPerDescriptor = 32;

}  // namespace

Result<GrantedPool> GrantedPool::create(GrantShare& share, DomId peer, uint32_t pages) {
  if (pages < kMinPages)
    return fail(Errc::kInvalid, "a pool of " + std::to_string(pages) + " pages for a lane: give " +
                                    std::to_string(kMinPages) + " or more, or use fewer lanes");
  GrantedPool pool;
  pool.pages_.reserve(pages);
  for (uint32_t made = 0; made < pages;) {
    const uint32_t count = std::min(pages - made, kChunkPages);
    auto shared = TRY(share.share(peer, count, Access::kReadWrite));
    for (uint32_t i = 0; i < count; i++)
      pool.pages_.push_back({shared->bytes().data() + size_t{i} * kPageSize, raw(shared->refs()[i]),
                             kNoPage, false, true});
    pool.chunks_.push_back({std::move(shared), made});
    made += count;
  }
  pool.lay_out();
  return pool;
}

void GrantedPool::lay_out() {
  const auto total = static_cast<uint32_t>(pages_.size());
  descriptor_pages_ = std::max(total / kDataPagesPerDescriptor, 1U);
  data_pages_ = total - descriptor_pages_ - 1;
  free_pages_ = data_pages_;
  free_stack_.reserve(data_pages_);
  for (uint32_t page = data_pages_; page-- > 0;) free_stack_.push_back(page);
  free_descriptors_.reserve(descriptor_pages_);
  for (uint32_t i = descriptor_pages_; i-- > 0;) free_descriptors_.push_back(data_pages_ + i);
}

uint32_t GrantedPool::take_page() noexcept {
  assert(free_pages_ != 0);
  while (true) {
    const uint32_t page = free_stack_.back();
    free_stack_.pop_back();
    pages_[page].stacked = false;
    if (pages_[page].used) continue;  // part of a caller's run; comes back with it
    pages_[page].used = true;
    free_pages_--;
    return page;
  }
}

void GrantedPool::give_page(uint32_t page) noexcept {
  assert(pages_[page].used);
  pages_[page].used = false;
  free_pages_++;
  if (pages_[page].stacked) return;
  pages_[page].stacked = true;
  free_stack_.push_back(page);
}

uint32_t GrantedPool::take_descriptor() noexcept {
  assert(has_descriptor());
  const uint32_t page = free_descriptors_.back();
  free_descriptors_.pop_back();
  return page;
}

Result<std::span<std::byte>> GrantedPool::allocate(size_t bytes) {
  if (bytes == 0) return fail(Errc::kInvalid, "an I/O buffer of no bytes");
  if (bytes > size_t{data_pages_} * kPageSize)
    return fail(Errc::kLimit, "larger than the lane's pool of granted pages");
  const auto wanted = static_cast<uint32_t>(round_up(bytes, kPageSize) / kPageSize);
  if (free_pages_ < wanted || free_pages_ - wanted < kBouncePages)
    return fail(Errc::kLimit, "the lane's pool of granted pages is used up");
  // From the top: single pages are taken from the bottom first, so runs stay whole.
  uint32_t length = 0;
  for (uint32_t page = data_pages_; page-- > 0;) {
    const bool joins = length == 0 || pages_[page].address + kPageSize == pages_[page + 1].address;
    length = pages_[page].used ? 0 : joins ? length + 1 : 1;
    if (length < wanted) continue;
    for (uint32_t i = 0; i < wanted; i++) pages_[page + i].used = true;
    free_pages_ -= wanted;
    return std::span(pages_[page].address, bytes);
  }
  return fail(Errc::kLimit, "the lane's pool of granted pages has no run that long");
}

void GrantedPool::release(std::span<std::byte> run) noexcept {
  const auto place = find(run.data());
  assert(place && place->byte_offset == 0);
  const auto count = static_cast<uint32_t>(round_up(run.size(), kPageSize) / kPageSize);
  for (uint32_t i = count; i-- > 0;) give_page(place->page + i);
}

std::optional<GrantedPool::Place> GrantedPool::find(const void* address) const noexcept {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (const Chunk& chunk : chunks_) {
    const std::span<std::byte> bytes = chunk.shared->bytes();
    const uintptr_t distance = at - reinterpret_cast<uintptr_t>(bytes.data());
    if (distance >= bytes.size()) continue;
    const auto page = chunk.first_page + static_cast<uint32_t>(distance / kPageSize);
    if (page >= data_pages_) return std::nullopt;
    return Place{page, static_cast<uint32_t>(distance % kPageSize)};
  }
  return std::nullopt;
}

}  // namespace splitring::frontend
