// The one way to memory that a hostile neighbour writes at the same time.
//
// Every byte is loaded once, into private memory, by a load that the compiler may neither repeat
// nor split (XSA-155); what was loaded is then checked and used, and the shared copy never looked
// at again. Rings take this class as a parameter, so that a test can count the loads.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace splitring {

struct SharedMemory {
  // Loads `size` bytes in units of Word. Precondition: `from` is aligned for Word and `size` is a
  // multiple of it.
  template <class Word>
  static void load(void* to, const std::byte* from, size_t size) {
    static_assert(std::is_unsigned_v<Word>);
    assert(size % sizeof(Word) == 0);
    auto* target = static_cast<std::byte*>(to);
    for (size_t i = 0; i < size; i += sizeof(Word)) {
      const Word word = __atomic_load_n(reinterpret_cast<const Word*>(from + i), __ATOMIC_RELAXED);
      __builtin_memcpy(target + i, &word, sizeof word);
    }
  }

  // Stores likewise. Same preconditions.
  template <class Word>
  static void store(std::byte* to, const void* from, size_t size) {
    static_assert(std::is_unsigned_v<Word>);
    assert(size % sizeof(Word) == 0);
    const auto* source = static_cast<const std::byte*>(from);
    for (size_t i = 0; i < size; i += sizeof(Word)) {
      Word word;
      __builtin_memcpy(&word, source + i, sizeof word);
      __atomic_store_n(reinterpret_cast<Word*>(to + i), word, __ATOMIC_RELAXED);
    }
  }

  // The peer's index: what it wrote before it is visible after this.
  static uint32_t load_index(const std::byte* from) {
    return __atomic_load_n(reinterpret_cast<const uint32_t*>(from), __ATOMIC_ACQUIRE);
  }
  // Our index: what we wrote before it is visible before it.
  static void store_index(std::byte* to, uint32_t value) {
    __atomic_store_n(reinterpret_cast<uint32_t*>(to), value, __ATOMIC_RELEASE);
  }
  // Orders a store of ours before a later load of the peer's: index and event are written by one
  // side and read by the other, crosswise.
  static void full_barrier() { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

}  // namespace splitring
