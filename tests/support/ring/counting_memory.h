// SharedMemory that remembers how often each byte was loaded and stored, for the proof that
// nothing is looked at twice. One ring at a time: watch() names its pages. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ring/shared_memory.h"

namespace splitring {

class CountingMemory {
 public:
  // Forgets everything and counts accesses to these pages from now on.
  static void watch(std::span<const std::byte> pages) {
    base_ = pages.data();
    loads_.assign(pages.size(), 0);
    stores_.assign(pages.size(), 0);
  }
  [[nodiscard]] static uint32_t loads(size_t byte) { return loads_.at(byte); }
  [[nodiscard]] static uint32_t stores(size_t byte) { return stores_.at(byte); }

  template <class Word>
  static void load(void* to, const std::byte* from, size_t size) {
    count(loads_, from, size);
    SharedMemory::load<Word>(to, from, size);
  }
  template <class Word>
  static void store(std::byte* to, const void* from, size_t size) {
    count(stores_, to, size);
    SharedMemory::store<Word>(to, from, size);
  }
  static uint32_t load_index(const std::byte* from) {
    count(loads_, from, sizeof(uint32_t));
    return SharedMemory::load_index(from);
  }
  static void store_index(std::byte* to, uint32_t value) {
    count(stores_, to, sizeof value);
    SharedMemory::store_index(to, value);
  }
  static void full_barrier() { SharedMemory::full_barrier(); }

 private:
  // at() fails a test that reaches outside the pages.
  static void count(std::vector<uint32_t>& counts, const std::byte* address, size_t size) {
    const auto first = static_cast<size_t>(address - base_);
    for (size_t i = 0; i < size; i++) counts.at(first + i)++;
  }

  static inline const std::byte* base_ = nullptr;
  static inline std::vector<uint32_t> loads_;
  static inline std::vector<uint32_t> stores_;
};

}  // namespace splitring
