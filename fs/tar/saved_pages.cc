#include "fs/tar/saved_pages.h"

#include <sys/mman.h>

#include <algorithm>

#include "blkimage/file_bytes.h"
#include "blkimage/saved_file.h"

namespace splitring {

Result<std::unique_ptr<SavedTarPages>> SavedTarPages::create(UniqueFd file, uint64_t offset,
                                                             size_t bytes,
                                                             std::vector<uint64_t> digests) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("memory for a saved index", errno);
  return std::unique_ptr<SavedTarPages>(new SavedTarPages(
      std::move(file), offset, static_cast<std::byte*>(memory), bytes, std::move(digests)));
}

SavedTarPages::SavedTarPages(UniqueFd file, uint64_t offset, std::byte* memory, size_t size,
                             std::vector<uint64_t> digests)
    : file_(std::move(file)),
      offset_(offset),
      memory_(memory),
      size_(size),
      digests_(std::move(digests)),
      states_(std::make_unique<std::atomic<State>[]>(digests_.size())) {}

SavedTarPages::~SavedTarPages() { ::munmap(memory_, size_); }

bool SavedTarPages::ready(const std::byte* at, size_t bytes) const noexcept {
  if (bytes == 0) return true;
  const auto first = static_cast<size_t>(at - memory_);
  const size_t last_chunk = (first + bytes - 1) / kChunkBytes;
  for (size_t chunk = first / kChunkBytes; chunk <= last_chunk; chunk++) {
    const State state = states_[chunk].load(std::memory_order_acquire);
    if (state == State::kBad || (state == State::kUnread && !load(chunk))) return false;
  }
  return true;
}

bool SavedTarPages::load(size_t chunk) const noexcept {
  const std::lock_guard lock(loading_);
  const State state = states_[chunk].load(std::memory_order_relaxed);
  if (state != State::kUnread) return state == State::kGood;
  const size_t at = chunk * kChunkBytes;
  const std::span<std::byte> bytes(memory_ + at, std::min(kChunkBytes, size_ - at));
  const bool good =
      read_file_bytes(file_.get(), offset_ + at, bytes) && saved_digest(bytes) == digests_[chunk];
  states_[chunk].store(good ? State::kGood : State::kBad, std::memory_order_release);
  if (!good) report_damage();
  return good;
}

}  // namespace splitring
