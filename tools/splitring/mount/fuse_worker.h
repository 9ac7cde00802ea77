// What a thread that answers the kernel has of its own: a lane of the disk, and memory to read
// into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "blkimage/block_device.h"

namespace splitring::tools {

class FuseWorker {
 public:
  // The lane is the calling thread's, and so is the worker: current() from here on.
  explicit FuseWorker(BlockQueue& lane) : lane_(lane) { current_ = this; }
  ~FuseWorker() { current_ = nullptr; }
  FuseWorker(const FuseWorker&) = delete;
  FuseWorker& operator=(const FuseWorker&) = delete;

  // Precondition: the calling thread has one.
  static FuseWorker& current() { return *current_; }

  [[nodiscard]] BlockQueue& lane() { return lane_; }
  // Valid until the next call; at a page's beginning, so that disks can read into it directly.
  // The kernel asks for 1 MiB at most (FUSE_MAX_MAX_PAGES). Empty: no memory.
  std::span<std::byte> buffer(size_t bytes) {
    if (bytes > capacity_) {
      constexpr size_t kPage = 4096;
      const size_t rounded = (bytes + kPage - 1) / kPage * kPage;
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, rounded)));
      capacity_ = memory_ ? rounded : 0;
    }
    return {memory_.get(), std::min(bytes, capacity_)};
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  static inline thread_local FuseWorker* current_ = nullptr;
  BlockQueue& lane_;
  std::unique_ptr<std::byte, Free> memory_;
  size_t capacity_ = 0;
};

}  // namespace splitring::tools
