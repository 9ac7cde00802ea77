#include "fs/fat/fat_name.h"

#include <algorithm>
#include <clocale>
#include <cwctype>
#include <vector>

namespace splitring {
namespace {

constexpr char16_t kBasicPlane = 0xffff;

// Code page 437 from 0x80 on.
constexpr std::u16string_view kOem =
    u"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄"
    u"▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩"
    u"≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";
static_assert(kOem.size() == 128);

// The C library's own locale of Unicode knows every simple mapping; without it only ASCII is
// folded.
std::vector<char16_t> make_upper_case() {
  std::vector<char16_t> table(size_t{kBasicPlane} + 1);
  const locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  for (uint32_t c = 0; c <= kBasicPlane; c++) {
    uint32_t upper = c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
    if (unicode != nullptr && c >= 0x80)
      upper = static_cast<uint32_t>(towupper_l(static_cast<wint_t>(c), unicode));
    table[c] = static_cast<char16_t>(upper <= kBasicPlane ? upper : c);
  }
  if (unicode != nullptr) freelocale(unicode);
  return table;
}

const std::vector<char16_t>& upper_case() {
  static const std::vector<char16_t> table = make_upper_case();
  return table;
}

constexpr std::u16string_view kForbidden = u"\"*/:<>?\\|";

constexpr std::array<bool, 128> kLegalAscii = [] {
  std::array<bool, 128> legal{};
  for (size_t c = 0x20; c < 0x7f; c++)
    legal[c] = kForbidden.find(static_cast<char16_t>(c)) == std::u16string_view::npos;
  return legal;
}();

bool is_legal(char16_t c) { return c >= kLegalAscii.size() || kLegalAscii[c]; }

// Of a short name: ASCII that Windows puts into one.
bool is_short_char(char16_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::u16string_view(u"$%'-_@~`!(){}^#&").find(c) != std::u16string_view::npos;
}

// One part of a short name, out of a part of a long one.
struct Part {
  std::string text;
  bool lossy = false;
  bool has_lower = false;
  bool has_upper = false;
};

Part make_part(std::u16string_view from, size_t most) {
  Part part;
  for (char16_t c : from) {
    if (c == ' ' || c == '.') {
      part.lossy = true;
      continue;
    }
    const bool lower = c >= 'a' && c <= 'z';
    if (lower) c = static_cast<char16_t>(c - 'a' + 'A');
    if (!is_short_char(c)) {
      part.lossy = true;
      // The second half of a pair says nothing more.
      if (c >= 0xdc00 && c <= 0xdfff) continue;
      c = '_';
    }
    if (part.text.size() == most) {
      part.lossy = true;
      break;
    }
    part.has_lower |= lower;
    part.has_upper |= !lower && c >= 'A' && c <= 'Z';
    part.text.push_back(static_cast<char>(c));
  }
  return part;
}

// One character of UTF-8 off the front; nothing: malformed.
std::optional<uint32_t> next_character(std::string_view& text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t length = lead < 0x80       ? 1
                        : lead >> 5 == 6  ? 2
                        : lead >> 4 == 14 ? 3
                        : lead >> 3 == 30 ? 4
                                          : 0;
  if (length == 0 || text.size() < length) return std::nullopt;
  uint32_t c = length == 1 ? lead : lead & (0x7fU >> length);
  for (size_t i = 1; i < length; i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte >> 6 != 2) return std::nullopt;
    c = c << 6 | (byte & 0x3f);
  }
  constexpr std::array<uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (c < kLeast[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return std::nullopt;
  text.remove_prefix(length);
  return c;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xe0 | c >> 12);
    } else {
      put(0xf0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3f));
    }
    put(0x80 | (c >> 6 & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

char16_t from_oem(uint8_t byte) {
  if (byte >= 0x80) return kOem[byte - 0x80];
  return is_legal(byte) ? byte : u'_';
}

}  // namespace

std::optional<std::u16string> fat_utf16(std::string_view utf8) {
  std::u16string out;
  out.reserve(utf8.size());
  while (!utf8.empty()) {
    const auto c = next_character(utf8);
    if (!c) return std::nullopt;
    if (*c <= kBasicPlane) {
      out.push_back(static_cast<char16_t>(*c));
    } else {
      out.push_back(static_cast<char16_t>(0xd800 + ((*c - 0x10000) >> 10)));
      out.push_back(static_cast<char16_t>(0xdc00 + (*c & 0x3ff)));
    }
  }
  return out;
}

std::optional<std::string> fat_utf8(std::u16string_view utf16) {
  std::string out;
  out.reserve(utf16.size());
  for (size_t i = 0; i < utf16.size(); i++) {
    uint32_t c = utf16[i];
    if (c >= 0xd800 && c <= 0xdfff) {
      if (c >= 0xdc00 || i + 1 == utf16.size() || utf16[i + 1] < 0xdc00 || utf16[i + 1] > 0xdfff)
        return std::nullopt;
      c = 0x10000 + ((c - 0xd800) << 10) + (utf16[++i] - 0xdc00U);
    }
    append_utf8(out, c);
  }
  return out;
}

std::u16string fat_folded(std::u16string_view name) {
  const std::vector<char16_t>& table = upper_case();
  std::u16string folded(name);
  for (char16_t& c : folded) c = table[c];
  return folded;
}

Result<std::u16string> fat_checked_name(std::string_view utf8) {
  const std::string shown = "'" + std::string(utf8) + "'";
  auto name = fat_utf16(utf8);
  if (!name) return fail(Errc::kInvalid, "a name that is no UTF-8 cannot be kept on FAT");
  while (!name->empty() && (name->back() == ' ' || name->back() == '.')) name->pop_back();
  if (name->empty()) return fail(Errc::kInvalid, shown + " is no name on FAT");
  if (!std::ranges::all_of(*name, is_legal))
    return fail(Errc::kInvalid, shown +
                                    ": a name on FAT has none of \" * / : < > ? \\ |, and no "
                                    "control characters");
  if (name->size() > kFatMaxNameUnits)
    return fail(Errc::kLimit,
                shown + ": longer than " + std::to_string(kFatMaxNameUnits) + " units of UTF-16");
  return *std::move(name);
}

bool fat_is_showable(std::u16string_view name) {
  return !name.empty() && name.size() <= kFatMaxNameUnits && name != u"." && name != u".." &&
         std::ranges::all_of(name, [](char16_t c) { return c >= 0x20 && c != '/'; }) &&
         fat_utf8(name).has_value();
}

uint8_t fat_checksum(const FatShortName& name) {
  uint8_t sum = 0;
  for (const uint8_t byte : name) sum = static_cast<uint8_t>((sum << 7 | sum >> 1) + byte);
  return sum;
}

std::u16string fat_shown(const FatShortName& name, uint8_t nt_bits) {
  const auto part = [&](size_t from, size_t until, bool lower) {
    std::u16string text;
    while (until > from && name[until - 1] == ' ') until--;
    for (size_t i = from; i < until; i++) {
      const uint8_t byte = i == 0 && name[0] == kFatEscapedE5 ? kFatDeleted : name[i];
      const char16_t c = from_oem(byte);
      text.push_back(lower && c >= 'A' && c <= 'Z' ? static_cast<char16_t>(c - 'A' + 'a') : c);
    }
    return text;
  };
  std::u16string text = part(0, 8, (nt_bits & kFatLowerBase) != 0);
  const std::u16string extension = part(8, 11, (nt_bits & kFatLowerExtension) != 0);
  if (!extension.empty()) text.append(u".").append(extension);
  return text.empty() || text == u"." || text == u".." ? u"_" : text;
}

FatAlias fat_alias(std::u16string_view name) {
  FatAlias alias;
  const size_t begin = std::min(name.find_first_not_of(u". "), name.size());
  const std::u16string_view rest = name.substr(begin);
  const size_t dot = rest.rfind('.');
  const bool has_extension = dot != std::u16string_view::npos;
  Part base = make_part(rest.substr(0, dot), 8);
  const Part extension = has_extension ? make_part(rest.substr(dot + 1), 3) : Part{};
  if (base.text.empty()) {
    base.text = "_";
    base.lossy = true;
  }
  alias.name.fill(' ');
  std::ranges::copy(base.text, alias.name.begin());
  std::ranges::copy(extension.text, alias.name.begin() + 8);
  alias.lossy = begin != 0 || base.lossy || extension.lossy;
  const bool mixed =
      (base.has_lower && base.has_upper) || (extension.has_lower && extension.has_upper);
  alias.needs_long = alias.lossy || mixed;
  if (!alias.needs_long)
    alias.nt_bits = static_cast<uint8_t>((base.has_lower ? kFatLowerBase : 0) |
                                         (extension.has_lower ? kFatLowerExtension : 0));
  return alias;
}

FatShortName fat_numbered(const FatShortName& name, uint32_t number) {
  const std::string tail = "~" + std::to_string(number);
  FatShortName numbered = name;
  size_t length = 8;
  while (length > 0 && name[length - 1] == ' ') length--;
  length = std::min(length, 8 - tail.size());
  std::ranges::copy(tail, numbered.begin() + static_cast<std::ptrdiff_t>(length));
  return numbered;
}

Result<FatShortName> fat_label(std::string_view utf8) {
  FatShortName label;
  label.fill(' ');
  const auto text = fat_utf16(utf8);
  const std::u16string upper = text ? fat_folded(*text) : u"";
  if (!text || upper.size() > label.size() || (!upper.empty() && upper[0] == ' '))
    return fail(Errc::kInvalid, "'" + std::string(utf8) +
                                    "': a label has at most 11 characters of code page 437, and no "
                                    "space in front");
  for (size_t i = 0; i < upper.size(); i++) {
    const size_t oem = kOem.find(upper[i]);
    const bool plain = upper[i] < 0x80 && is_legal(upper[i]) &&
                       std::u16string_view(u"+,.;=[]").find(upper[i]) == std::u16string_view::npos;
    if (!plain && (upper[i] < 0x80 || oem == std::u16string_view::npos))
      return fail(Errc::kInvalid, "'" + std::string(utf8) +
                                      "': a label has none of \" * + , . / : ; < = > ? [ \\ ] |");
    label[i] = plain ? static_cast<uint8_t>(upper[i]) : static_cast<uint8_t>(0x80 + oem);
  }
  if (label[0] == kFatDeleted) label[0] = kFatEscapedE5;
  return label;
}

std::string fat_label_text(const FatShortName& label) {
  std::u16string text;
  for (size_t i = 0; i < label.size(); i++)
    text.push_back(from_oem(i == 0 && label[0] == kFatEscapedE5 ? kFatDeleted : label[i]));
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return fat_utf8(text).value_or("");
}

}  // namespace splitring
