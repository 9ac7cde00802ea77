// The body of a saved index: read a chunk at a time, when something in it is first needed, into
// memory of our own, and checked there against a digest that was read on opening. So opening costs
// the digests only (0.02 % of the index), and neither a file that shrinks or changes below us nor
// one that was damaged is ever believed: what was checked is what is used.
//
// ready(): any number of threads. A chunk that is wrong stays wrong.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring {

class SavedTarPages {
 public:
  static constexpr size_t kChunkBytes = size_t{64} << 10;

  [[nodiscard]] static size_t chunks_of(uint64_t bytes) {
    return (bytes + kChunkBytes - 1) / kChunkBytes;
  }

  // The `bytes` bytes of `file` from `offset` on; one digest a chunk. kLimit: no address space.
  static Result<std::unique_ptr<SavedTarPages>> create(UniqueFd file, uint64_t offset, size_t bytes,
                                                       std::vector<uint64_t> digests);
  ~SavedTarPages();
  SavedTarPages(const SavedTarPages&) = delete;
  SavedTarPages& operator=(const SavedTarPages&) = delete;

  // Where they will be. Nothing may be looked at before it is ready().
  [[nodiscard]] std::span<const std::byte> bytes() const { return {memory_, size_}; }
  // Precondition: [at, at + bytes) lies in bytes().
  [[nodiscard]] bool ready(const std::byte* at, size_t bytes) const noexcept;
  // False: something was asked for that is not as it was saved, or says what cannot be.
  [[nodiscard]] bool intact() const { return !damaged_.load(std::memory_order_relaxed); }
  void report_damage() const { damaged_.store(true, std::memory_order_relaxed); }

 private:
  enum class State : uint8_t { kUnread, kGood, kBad };

  SavedTarPages(UniqueFd file, uint64_t offset, std::byte* memory, size_t size,
                std::vector<uint64_t> digests);
  [[nodiscard]] bool load(size_t chunk) const noexcept;

  const UniqueFd file_;
  const uint64_t offset_;
  std::byte* const memory_;
  const size_t size_;
  const std::vector<uint64_t> digests_;
  const std::unique_ptr<std::atomic<State>[]> states_;
  mutable std::mutex loading_;
  mutable std::atomic<bool> damaged_{false};
};

}  // namespace splitring
