#include "blkimage/page_pool.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/units.h"

namespace splitring {

void PagePool::Unmap::operator()(std::byte* memory) const noexcept { ::munmap(memory, bytes); }

Result<PagePool> PagePool::create(size_t bytes) {
  const size_t size = round_up(bytes, kPage);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("memory for I/O buffers", errno);
  return PagePool(std::unique_ptr<std::byte[], Unmap>(static_cast<std::byte*>(memory), Unmap{size}),
                  size / kPage);
}

Result<std::span<std::byte>> PagePool::allocate(size_t bytes) {
  if (bytes == 0) return fail(Errc::kInvalid, "an I/O buffer of no bytes");
  const size_t total = used_.size();
  if (bytes > total * kPage) return fail(Errc::kLimit, "larger than the lane's pool of buffers");
  const size_t pages = round_up(bytes, kPage) / kPage;
  // Two passes, the second from the start: a run never wraps.
  for (const size_t from : {std::exchange(next_, 0), size_t{0}}) {
    size_t length = 0;
    for (size_t page = from; page < total; page++) {
      length = used_[page] ? 0 : length + 1;
      if (length < pages) continue;
      const size_t first = page + 1 - pages;
      std::fill_n(used_.begin() + static_cast<std::ptrdiff_t>(first), pages, true);
      next_ = page + 1;
      return std::span(memory_.get() + first * kPage, bytes);
    }
  }
  return fail(Errc::kLimit, "the lane's pool of buffers is used up");
}

void PagePool::release(std::span<std::byte> run) noexcept {
  const auto first = (run.data() - memory_.get()) / static_cast<std::ptrdiff_t>(kPage);
  std::fill_n(used_.begin() + first, round_up(run.size(), kPage) / kPage, false);
}

bool PagePool::contains(const void* address) const noexcept {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto start = reinterpret_cast<uintptr_t>(memory_.get());
  return at >= start && at - start < used_.size() * kPage;
}

}  // namespace splitring
