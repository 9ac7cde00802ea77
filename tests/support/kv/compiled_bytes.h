// The bytes of a compiled-in directory, made in memory.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "kv/compiled_image.h"

namespace splitring::test {

inline std::string compiled_bytes(const std::map<std::string, std::string>& values,
                                  const std::set<std::string>& dictionaries = {},
                                  std::optional<int64_t> modified_s = {}) {
  std::vector<kv::CompiledMember> members;
  for (const std::string& key : dictionaries)
    members.push_back({.key = key, .kind = kv::Kind::kDictionary, .modified_s = modified_s});
  for (const auto& [key, bytes] : values) {
    kv::DigestBuilder digest;
    digest.add(bytes);
    members.push_back({.key = key,
                       .kind = kv::Kind::kValue,
                       .size = bytes.size(),
                       .digest = digest.finish(),
                       .modified_s = modified_s});
  }
  const kv::CompiledLayout layout = kv::lay_out(std::move(members));
  std::string image = layout.front;
  for (const auto& content : layout.contents) {
    image.resize(content.at);
    image += values.at(layout.members[content.member].key);
  }
  return image;
}

}  // namespace splitring::test
