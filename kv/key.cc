#include "kv/key.h"

#include <algorithm>

namespace splitring::kv {
namespace {

constexpr size_t kMaxPrintedBytes = 100;

// What remains behind the next component.
std::string_view take_component(std::string_view key, std::string_view& component) {
  const size_t slash = std::min(key.find('/'), key.size());
  component = key.substr(0, slash);
  return key.substr(std::min(slash + 1, key.size()));
}

}  // namespace

bool is_key_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= kMaxKeyBytes &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool is_normal_key(std::string_view key) {
  if (key.size() > kMaxKeyBytes || key.ends_with('/')) return false;
  size_t depth = 0;
  while (!key.empty()) {
    std::string_view component;
    key = take_component(key, component);
    if (!is_key_component(component) || ++depth > kMaxKeyDepth) return false;
  }
  return true;
}

Result<std::string> normal_key(std::string_view key) {
  if (is_normal_key(key)) return std::string(key);
  const auto refuse = [&](const char* why) {
    return fail(Errc::kInvalid, printable_key(key) + " is no key: " + why);
  };
  if (key.size() > kMaxKeyBytes) return refuse("longer than 4096 bytes");
  std::string normal;
  normal.reserve(key.size());
  size_t depth = 0;
  for (std::string_view rest = key; !rest.empty();) {
    std::string_view component;
    rest = take_component(rest, component);
    if (component.empty()) continue;
    if (!is_key_component(component)) return refuse("it holds \".\", \"..\" or a NUL");
    if (++depth > kMaxKeyDepth) return refuse("more than 256 components");
    if (!normal.empty()) normal += '/';
    normal += component;
  }
  return normal;
}

std::string child_key(std::string_view directory, std::string_view name) {
  std::string key(directory);
  if (!key.empty()) key += '/';
  key += name;
  return key;
}

std::string printable_key(std::string_view key) {
  std::string text = "\"";
  for (const char c : key.substr(0, kMaxPrintedBytes)) {
    const bool plain = c >= ' ' && c <= '~' && c != '"';
    text += plain ? c : '?';
  }
  if (key.size() > kMaxPrintedBytes) text += "...";
  return text + '"';
}

}  // namespace splitring::kv
