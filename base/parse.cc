#include "base/parse.h"

#include <array>
#include <cstdio>

namespace splitring {

std::optional<uint64_t> parse_decimal(std::string_view text, uint64_t max) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    if (digit > max || value > (max - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

Result<uint64_t> parse_size(std::string_view text) {
  const auto bad = [&] {
    return fail(Errc::kInvalid, "\"" + std::string(text) +
                                    "\" is not a size; write a number with K, M, G or T behind it, "
                                    "such as 64M");
  };
  const size_t digits = text.find_first_not_of("0123456789");
  const std::string_view suffix = digits == text.npos ? "" : text.substr(digits);
  const auto number = parse_decimal(text.substr(0, digits));
  if (!number) return bad();
  unsigned shift = 0;
  if (!suffix.empty()) {
    constexpr std::string_view kLetters = "KMGT";
    const size_t letter = kLetters.find(static_cast<char>(suffix[0] & ~0x20));
    if (letter == kLetters.npos) {
      if (suffix != "B") return bad();
    } else {
      const std::string_view rest = suffix.substr(1);
      if (!rest.empty() && rest != "iB" && rest != "B") return bad();
      shift = static_cast<unsigned>(10 * (letter + 1));
    }
  }
  if (shift != 0 && *number > std::numeric_limits<uint64_t>::max() >> shift) return bad();
  return *number << shift;
}

std::string format_bytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  // What would be shown as 1024.0 belongs to the next unit.
  constexpr double kShownAs1024 = 1023.95;
  while (value >= kShownAs1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    unit++;
  }
  std::array<char, 32> text{};
  const char* format = unit == 0 || value == static_cast<double>(static_cast<uint64_t>(value))
                           ? "%.0f %s"
                           : "%.1f %s";
  std::snprintf(text.data(), text.size(), format, value, kUnits[unit]);
  return text.data();
}

}  // namespace splitring
