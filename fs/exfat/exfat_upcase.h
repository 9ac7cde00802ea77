// How an exFAT volume compares names: by the table of upper case that it brings along.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace splitring {

class ExfatUpcase {
 public:
  // Ours: the simple mappings of Unicode's basic plane, but none into ASCII.
  ExfatUpcase();
  // A volume's, in the packed form of the specification (7.2.5). kInvalid: its checksum is another,
  // or it does not fold ASCII as it must.
  static Result<ExfatUpcase> unpack(const std::vector<uint8_t>& packed, uint32_t checksum);

  [[nodiscard]] std::vector<uint8_t> pack() const;
  [[nodiscard]] std::u16string folded(std::u16string_view name) const;
  [[nodiscard]] uint16_t hash(std::u16string_view name) const;  // of a stream slot

  static uint32_t checksum(const std::vector<uint8_t>& packed);
  static constexpr uint64_t kMostBytes = uint64_t{65536} * 2;

 private:
  explicit ExfatUpcase(std::vector<char16_t> table) : table_(std::move(table)) {}

  std::vector<char16_t> table_;
};

}  // namespace splitring
