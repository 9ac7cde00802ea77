#include "xenbus/store_path.h"

#include <algorithm>
#include <cstring>

namespace splitring {

namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '@';
}

// Deep paths have much in common, and a map compares them often: by blocks first.
size_t first_difference(std::string_view a, std::string_view b) {
  constexpr size_t kBlock = 64;
  const size_t common = std::min(a.size(), b.size());
  size_t at = 0;
  while (at + kBlock <= common && std::memcmp(a.data() + at, b.data() + at, kBlock) == 0)
    at += kBlock;
  while (at < common && a[at] == b[at]) at++;
  return at;
}

}  // namespace

bool is_valid_store_path(std::string_view path) {
  if (path.empty() || path.front() != '/' || path.size() > kStoreAbsolutePathMax) return false;
  if (path == "/") return true;
  if (path.back() == '/' || path.find("//") != std::string_view::npos) return false;
  return std::ranges::all_of(path, [](char c) { return c == '/' || is_name_character(c); });
}

StoreResult<std::string> resolve_store_path(std::string_view path, DomId domain) {
  if (path.empty() || path.front() == '@') return store_fail(StoreErrc::kInvalid);
  std::string absolute;
  if (path.front() == '/') {
    absolute = path;
  } else {
    if (path.size() > kStoreRelativePathMax) return store_fail(StoreErrc::kInvalid);
    absolute = store_children_prefix(store_home(domain));
    absolute += path;
  }
  if (!is_valid_store_path(absolute)) return store_fail(StoreErrc::kInvalid);
  return absolute;
}

std::string store_home(DomId domain) { return "/local/domain/" + std::to_string(raw(domain)); }

std::string_view parent_store_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

std::string store_children_prefix(std::string_view path) {
  std::string prefix(path);
  if (prefix != "/") prefix += '/';
  return prefix;
}

bool StorePathLess::operator()(std::string_view a, std::string_view b) const {
  const size_t at = first_difference(a, b);
  if (at == b.size()) return false;
  if (at == a.size()) return true;
  const auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c); };
  return rank(a[at]) < rank(b[at]);
}

std::string store_subtree_end(std::string_view path) {
  // 1 sorts behind a slash and before every character of a name; below "/" is everything.
  return path == "/" ? std::string("/\x7f") : std::string(path) + '\x01';
}

}  // namespace splitring
