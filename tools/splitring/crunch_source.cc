// A compiled directory as C++ source: one long string literal, in lines.
#include <array>
#include <string_view>

#include "kv/key.h"
#include "tools/splitring/crunch_output.h"

namespace splitring::tools {
namespace {

constexpr size_t kLineBytes = 100;  // of source; a line of text in the content ends one too
constexpr size_t kBufferBytes = size_t{1} << 20;

// How each byte is written within a literal. Octal escapes always have three digits, so that what
// follows cannot be taken for a part; '?' is escaped for the sake of trigraphs.
std::array<std::string, 256> literals() {
  std::array<std::string, 256> texts;
  for (size_t byte = 0; byte < texts.size(); byte++) {
    const char c = static_cast<char>(byte);
    if (c == '\n')
      texts[byte] = "\\n";
    else if (c == '"' || c == '\\' || c == '?')
      texts[byte] = std::string("\\") + c;
    else if (c >= ' ' && c <= '~')
      texts[byte] = c;
    else
      texts[byte] = {'\\', static_cast<char>('0' + (byte >> 6)),
                     static_cast<char>('0' + (byte >> 3 & 7)), static_cast<char>('0' + (byte & 7))};
  }
  return texts;
}

class SourceWriter {
 public:
  explicit SourceWriter(const CrunchSink& sink) : sink_(sink), literals_(literals()) {}

  Result<> text(std::string_view text) {
    TRY_VOID(end_line());
    buffer_ += text;
    return {};
  }
  Result<> bytes(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      if (line_ == 0) buffer_ += '"';
      const std::string& literal = literals_[std::to_integer<size_t>(byte)];
      buffer_ += literal;
      line_ += literal.size();
      if (line_ >= kLineBytes || byte == std::byte{'\n'}) TRY_VOID(end_line());
    }
    return {};
  }
  Result<> flush() {
    TRY_VOID(sink_(std::as_bytes(std::span(buffer_))));
    buffer_.clear();
    return {};
  }

 private:
  Result<> end_line() {
    if (line_ != 0) buffer_ += "\"\n";
    line_ = 0;
    if (buffer_.size() >= kBufferBytes) return flush();
    return {};
  }

  const CrunchSink& sink_;
  const std::array<std::string, 256> literals_;
  std::string buffer_;
  size_t line_ = 0;  // length of the open literal
};

}  // namespace

Result<> write_source(const CrunchTree& tree, const kv::CompiledLayout& layout,
                      const std::string& name, const CrunchSink& sink) {
  SourceWriter out(sink);
  TRY_VOID(
      out.text("// Made by `splitring crunch`; do not edit. kv/compiled_store.h reads it:\n"
               "//   kv::CompiledStore::load(" +
               name +
               ")\n"
               "#if defined(__GNUC__)\n"
               "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n"
               "#endif\n"
               "extern \"C\" {\n"
               "extern const unsigned char " +
               name +
               "[];\n"
               "alignas(64) const unsigned char " +
               name + "[] =\n"));
  TRY_VOID(out.bytes(std::as_bytes(std::span(layout.front))));
  uint64_t at = layout.front.size();
  for (const auto& content : layout.contents) {
    const std::string padding(content.at - at, '\0');
    TRY_VOID(out.bytes(std::as_bytes(std::span(padding))));
    const kv::CompiledMember& member = layout.members[content.member];
    TRY_VOID(out.text("// " + kv::printable_key(member.key) + "\n"));
    TRY_VOID(tree.read(member, [&](auto bytes) { return out.bytes(bytes); }));
    at = content.at + member.size;
  }
  TRY_VOID(out.text(";\n}  // extern \"C\"\n"));
  return out.flush();
}

}  // namespace splitring::tools
