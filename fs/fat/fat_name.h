// Names: UTF-8 outside, UTF-16 in long names, an OEM code page in short ones.
//
// Short names are read by code page 437 (what Linux assumes); the ones that we make have only ASCII
// in them, so that no code page reads them otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fs/fat/fat_layout.h"

namespace splitring {

// Nothing: it is no UTF-8, or encodes what is no character.
[[nodiscard]] std::optional<std::u16string> fat_utf16(std::string_view utf8);
// Nothing: a surrogate without its other half.
[[nodiscard]] std::optional<std::string> fat_utf8(std::u16string_view utf16);

// As names are compared: by the simple upper case of the basic plane, which is all that Windows
// maps.
[[nodiscard]] std::u16string fat_folded(std::u16string_view name);

// A name as a person gives it, checked and without the spaces and dots at its end. kInvalid says
// what is wrong; kLimit: too long.
Result<std::u16string> fat_checked_name(std::string_view utf8);
// Of a long name on a disk: whether it may be shown at all.
[[nodiscard]] bool fat_is_showable(std::u16string_view name);

using FatShortName = std::array<uint8_t, 11>;

[[nodiscard]] uint8_t fat_checksum(const FatShortName& name);
// "readme.txt": with the case that the NT bits say. Bytes that no name may have become '_'.
[[nodiscard]] std::u16string fat_shown(const FatShortName& name, uint8_t nt_bits);

// What a long name is called in eleven bytes.
struct FatAlias {
  FatShortName name{};
  uint8_t nt_bits = 0;
  bool needs_long = true;  // the short name does not say all of it
  bool lossy = true;       // it needs a number at its end even if there is no other like it
};
[[nodiscard]] FatAlias fat_alias(std::u16string_view name);
// "LONGNA~1.TXT". Precondition: 1 <= number <= 999,999.
[[nodiscard]] FatShortName fat_numbered(const FatShortName& name, uint32_t number);

// A volume's label in eleven bytes: capitals, code page 437. kInvalid.
Result<FatShortName> fat_label(std::string_view utf8);
[[nodiscard]] std::string fat_label_text(const FatShortName& label);

}  // namespace splitring
