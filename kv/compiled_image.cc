#include "kv/compiled_image.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/units.h"

namespace splitring::kv {
namespace {

// Adds the root and every dictionary that has no member of its own.
void add_implied(std::vector<CompiledMember>& members) {
  std::set<std::string, std::less<>> known;
  for (const CompiledMember& member : members) {
    if (member.kind == Kind::kDictionary) known.insert(member.key);
  }
  const auto imply = [&](std::string_view key) {
    if (known.insert(std::string(key)).second)
      members.push_back({.key = std::string(key), .kind = Kind::kDictionary});
  };
  imply("");
  for (size_t i = 0, count = members.size(); i < count; i++) {
    const std::string key = members[i].key;
    for (size_t slash = key.find('/'); slash != std::string::npos; slash = key.find('/', slash + 1))
      imply(std::string_view(key).substr(0, slash));
  }
}

bool is_below(std::string_view key, std::string_view directory) {
  return directory.empty() || (key.size() > directory.size() && key.starts_with(directory) &&
                               key[directory.size()] == '/');
}

// The index behind the last member below `directory`.
size_t end_of(const std::vector<CompiledMember>& members, size_t directory) {
  const auto first = members.begin() + static_cast<ptrdiff_t>(directory);
  const auto end = std::partition_point(first + 1, members.end(), [&](const CompiledMember& m) {
    return is_below(m.key, first->key);
  });
  return static_cast<size_t>(end - members.begin());
}

template <class T>
void append(std::string& out, const T& wire) {
  out.append(reinterpret_cast<const char*>(&wire), sizeof(wire));
}

}  // namespace

bool key_before(std::string_view a, std::string_view b) {
  const auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c); };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

CompiledLayout lay_out(std::vector<CompiledMember> members) {
  CompiledLayout layout;
  add_implied(members);
  std::sort(members.begin(), members.end(), [](const CompiledMember& a, const CompiledMember& b) {
    return key_before(a.key, b.key);
  });
  uint64_t keys_bytes = 0;
  for (const CompiledMember& member : members) keys_bytes += member.key.size();
  const uint64_t keys_at = sizeof(ImageHeader) + members.size() * sizeof(ImageEntry);

  uint64_t key_at = keys_at;
  uint64_t end = keys_at + keys_bytes;
  std::map<std::pair<Digest, uint64_t>, uint64_t> places;
  std::string entries;
  std::string keys;
  for (size_t i = 0; i < members.size(); i++) {
    const CompiledMember& member = members[i];
    ImageEntry entry{};
    entry.key_at = key_at;
    entry.key_bytes = static_cast<uint32_t>(member.key.size());
    entry.modified_s = static_cast<uint64_t>(member.modified_s.value_or(kUnknownTime));
    key_at += member.key.size();
    if (member.kind == Kind::kDictionary) {
      entry.end = static_cast<uint32_t>(end_of(members, i));
    } else {
      const uint64_t next = round_up(end, kContentAlignment);
      const auto [place, is_new] = places.try_emplace({member.digest, member.size}, next);
      if (is_new && member.size != 0) {
        layout.contents.push_back({i, next});
        end = next + member.size;
      }
      // Nothing lies nowhere in particular, but within the image.
      entry.at = member.size != 0 ? place->second : keys_at;
      entry.size = member.size;
      entry.digest = member.digest;
    }
    append(entries, entry);
    keys += member.key;
  }
  ImageHeader header{};
  std::copy(kImageMagic.begin(), kImageMagic.end(), header.magic.begin());
  header.version = kImageVersion;
  header.entry_count = static_cast<uint32_t>(members.size());
  header.image_bytes = end;
  append(layout.front, header);
  layout.front += entries + keys;
  layout.members = std::move(members);
  layout.image_bytes = end;
  return layout;
}

}  // namespace splitring::kv
