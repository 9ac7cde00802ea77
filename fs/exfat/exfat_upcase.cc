#include "fs/exfat/exfat_upcase.h"

#include <array>
#include <numeric>
#include <utility>

#include "fs/exfat/exfat_layout.h"
#include "fs/fat/fat_name.h"

namespace splitring {
namespace {

constexpr size_t kUnits = 65536;
constexpr char16_t kSkip = 0xffff;  // and how many units stand for themselves
constexpr size_t kAscii = 128;

char16_t ascii_upper(size_t unit) {
  return static_cast<char16_t>(unit >= 'a' && unit <= 'z' ? unit - 'a' + 'A' : unit);
}

}  // namespace

ExfatUpcase::ExfatUpcase() : table_(kUnits) {
  for (size_t unit = 0; unit < kUnits; unit++) {
    const auto itself = static_cast<char16_t>(unit);
    const char16_t upper = fat_folded(std::u16string_view(&itself, 1))[0];
    table_[unit] = unit < kAscii ? ascii_upper(unit) : upper < kAscii ? itself : upper;
  }
}

uint32_t ExfatUpcase::checksum(const std::vector<uint8_t>& packed) {
  return exfat_sum_32(packed, 0);
}

Result<ExfatUpcase> ExfatUpcase::unpack(const std::vector<uint8_t>& packed, uint32_t checksum) {
  const auto damaged = [](const char* what) {
    return fail(Errc::kInvalid, std::string("no exFAT volume: its table of upper case ") + what);
  };
  if (ExfatUpcase::checksum(packed) != checksum) return damaged("has another checksum");
  std::vector<char16_t> table(kUnits);
  std::iota(table.begin(), table.end(), char16_t{0});
  size_t unit = 0;
  for (size_t at = 0; at + 1 < packed.size() && unit < kUnits; at += 2) {
    const auto value = static_cast<char16_t>(packed[at] | packed[at + 1] << 8);
    // At the table's very end it is a character.
    if (value == kSkip && at + 3 < packed.size()) {
      at += 2;
      unit += static_cast<size_t>(packed[at] | packed[at + 1] << 8);
      continue;
    }
    table[unit++] = value;
  }
  for (size_t ascii = 0; ascii < kAscii; ascii++)
    if (table[ascii] != ascii_upper(ascii)) return damaged("folds ASCII in a way of its own");
  return ExfatUpcase(std::move(table));
}

std::vector<uint8_t> ExfatUpcase::pack() const {
  std::vector<uint8_t> packed;
  const auto put = [&](size_t value) {
    packed.push_back(static_cast<uint8_t>(value));
    packed.push_back(static_cast<uint8_t>(value >> 8));
  };
  for (size_t unit = 0; unit < kUnits;) {
    size_t row = 0;
    while (unit + row < kUnits && row < kSkip && table_[unit + row] == unit + row) row++;
    // The first part is never packed: some readers go without unpacking as far as that.
    if (unit >= kAscii && row > 2) {
      put(kSkip);
      put(row);
      unit += row;
    } else {
      put(table_[unit++]);
    }
  }
  return packed;
}

std::u16string ExfatUpcase::folded(std::u16string_view name) const {
  std::u16string out(name);
  for (char16_t& unit : out) unit = table_[unit];
  return out;
}

uint16_t ExfatUpcase::hash(std::u16string_view name) const {
  uint16_t sum = 0;
  for (const char16_t unit : name) {
    const char16_t upper = table_[unit];
    const std::array<uint8_t, 2> bytes{static_cast<uint8_t>(upper & 0xff),
                                       static_cast<uint8_t>(upper >> 8)};
    sum = exfat_sum_16(bytes, sum);
  }
  return sum;
}

}  // namespace splitring
