// Memory by the megabyte, all zero at first, on huge pages where the kernel has some: it comes with
// few page faults and is looked at with few misses of the processor's address cache. Only what is
// touched takes memory. Move-only.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"

namespace splitring::kv {

class LargeMemory {
 public:
  LargeMemory() = default;
  // kLimit: there is no such memory.
  static Result<LargeMemory> reserve(size_t bytes);

  // Page-aligned.
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {memory_.get(), memory_ == nullptr ? 0 : memory_.get_deleter().bytes};
  }
  // What lies behind `bytes` is gone.
  void shrink(size_t bytes) noexcept;

 private:
  struct Unmap {
    size_t bytes;
    void operator()(std::byte* memory) const noexcept;
  };

  std::unique_ptr<std::byte, Unmap> memory_;
};

}  // namespace splitring::kv
