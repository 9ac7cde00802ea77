// A keyed hash of names: who writes an archive cannot choose names that collide, so looking up
// stays O(1) whatever the archive says. A saved index keeps its keys, for those who may read
// it: they can slow down nobody but a reader of an archive that they can write, until it changes.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace splitring {

class NameHash {
 public:
  NameHash() {
    std::random_device entropy;
    for (uint64_t* key : {&first_key_, &second_key_})
      *key = uint64_t{entropy()} << 32 | entropy() | 1;  // odd: never zero
  }

  // With keys of an earlier one, which a saved index holds: it hashes the same.
  NameHash(uint64_t first_key, uint64_t second_key)
      : first_key_(first_key), second_key_(second_key) {}
  [[nodiscard]] uint64_t first_key() const { return first_key_; }
  [[nodiscard]] uint64_t second_key() const { return second_key_; }

  // Multiplies 16 bytes a step into 128 bits and folds them; the length goes into the last step,
  // so that a name and the same name with NULs behind it differ.
  [[nodiscard]] uint64_t operator()(std::string_view name) const {
    const char* at = name.data();
    size_t left = name.size();
    uint64_t state = second_key_;
    for (; left > kStep; at += kStep, left -= kStep)
      state = fold(load(at, 8) ^ first_key_, load(at + 8, 8) ^ state);
    const uint64_t low = load(at, left < 8 ? left : 8);
    const uint64_t high = left > 8 ? load(at + 8, left - 8) : 0;
    state = fold(low ^ first_key_, high ^ state);
    return fold(state ^ first_key_, name.size() ^ second_key_);
  }

 private:
  static constexpr size_t kStep = 16;
  __extension__ using Wide = unsigned __int128;

  static uint64_t load(const char* at, size_t bytes) {
    uint64_t word = 0;
    std::memcpy(&word, at, bytes);
    return word;
  }
  static uint64_t fold(uint64_t a, uint64_t b) {
    const Wide product = Wide{a} * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  uint64_t first_key_ = 0;
  uint64_t second_key_ = 0;
};

}  // namespace splitring
