#include "tools/splitring/kv_text.h"

#include <charconv>
#include <cstdint>

namespace splitring::tools {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

void append_hex(std::string& out, char byte) {
  const auto value = static_cast<uint8_t>(byte);
  out += kHexDigits[value >> 4];
  out += kHexDigits[value & 15];
}

// The byte that an escape stands for, which is taken off `text`; its backslash is gone already.
Result<char> take_escape(std::string_view& text) {
  const char kind = text.empty() ? '\0' : text[0];
  if (kind == 'x' && text.size() >= 3) {
    unsigned value = 0;
    const char* const end = text.data() + 3;
    if (std::from_chars(text.data() + 1, end, value, 16).ptr == end) {
      text.remove_prefix(3);
      return static_cast<char>(value);
    }
  }
  static constexpr std::string_view kLetters = "tnr\\";
  static constexpr std::string_view kBytes = "\t\n\r\\";
  const size_t at = text.empty() ? std::string_view::npos : kLetters.find(kind);
  if (at == std::string_view::npos)
    return fail(Errc::kInvalid,
                "a backslash begins no escape that there is: \\\\, \\t, \\n, \\r or \\xNN");
  text.remove_prefix(1);
  return kBytes[at];
}

}  // namespace

void append_escaped(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<uint8_t>(c) >= 0x20 && c != 0x7f) {
          out += c;
        } else {
          out += "\\x";
          append_hex(out, c);
        }
    }
  }
}

std::string escaped(std::string_view bytes) {
  std::string out;
  append_escaped(out, bytes);
  return out;
}

Result<std::string> unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t plain = text.find('\\');
    out += text.substr(0, plain);
    if (plain == std::string_view::npos) break;
    text.remove_prefix(plain + 1);
    out += TRY(take_escape(text));
  }
  return out;
}

nlohmann::json bytes_as_json(std::string_view bytes) {
  nlohmann::json text = std::string(bytes);
  try {
    (void)text.dump();
  } catch (const nlohmann::json::type_error&) {
    std::string hex;
    for (const char c : bytes) append_hex(hex, c);
    return {{"hex", hex}};
  }
  return text;
}

}  // namespace splitring::tools
