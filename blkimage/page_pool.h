// Page-aligned runs out of one piece of memory: a lane's buffers. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace splitring {

class PagePool {
 public:
  // `bytes` is rounded up to whole pages; memory is taken from the system as it is touched.
  static Result<PagePool> create(size_t bytes);

  // A run of whole pages that holds `bytes`, of which exactly `bytes` are returned. kLimit if no
  // run is long enough; kInvalid for no bytes at all.
  Result<std::span<std::byte>> allocate(size_t bytes);
  // Precondition: allocate() returned it and it has not been released.
  void release(std::span<std::byte> run) noexcept;

  [[nodiscard]] std::span<std::byte> memory() const {
    return {memory_.get(), used_.size() * kPage};
  }
  [[nodiscard]] bool contains(const void* address) const noexcept;

 private:
  static constexpr size_t kPage = 4096;
  struct Unmap {
    size_t bytes;
    void operator()(std::byte* memory) const noexcept;
  };

  PagePool(std::unique_ptr<std::byte[], Unmap> memory, size_t pages)
      : memory_(std::move(memory)), used_(pages) {}

  std::unique_ptr<std::byte[], Unmap> memory_;
  std::vector<bool> used_;
  size_t next_ = 0;  // where the search starts: behind the latest run
};

}  // namespace splitring
