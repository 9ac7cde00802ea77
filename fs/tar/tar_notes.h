// Remarks for a person about an archive, the first few in full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace splitring {

class TarNotes {
 public:
  static constexpr size_t kKept = 64;

  TarNotes() = default;
  TarNotes(std::vector<std::string> kept, uint64_t total) : kept_(std::move(kept)), total_(total) {}

  void add(std::string note) {
    if (total_++ < kKept) kept_.push_back(std::move(note));
  }
  [[nodiscard]] const std::vector<std::string>& kept() const { return kept_; }
  [[nodiscard]] uint64_t total() const { return total_; }

 private:
  std::vector<std::string> kept_;
  uint64_t total_ = 0;
};

// A name for a message: control characters and what is not ASCII as \xNN, cut when very long.
[[nodiscard]] std::string printable_name(std::string_view name);

}  // namespace splitring
