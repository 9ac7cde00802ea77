// One key, in the memtables and then down the tree. Takes no lock and allocates nothing.
#pragma once

#include <array>

#include "kv/tree/page_io.h"
#include "kv/tree/payload.h"
#include "kv/tree/store_state.h"

namespace splitring::kv {

// Branch, tree and key in one piece, without an allocation.
class FullKey {
 public:
  // Precondition: key.size() <= kMaxUserKeyBytes.
  FullKey(uint32_t branch, uint32_t tree, std::string_view key) : bytes_(8 + key.size()) {
    store_le(text_.data(), __builtin_bswap32(branch));
    store_le(text_.data() + 4, __builtin_bswap32(tree));
    if (!key.empty()) std::memcpy(text_.data() + 8, key.data(), key.size());
  }
  // As in memory and in the ring.
  [[nodiscard]] std::string_view in_memory() const { return text_of({text_.data(), bytes_}); }
  // As in a page.
  [[nodiscard]] std::string_view in_page() const { return in_memory().substr(kBranchBytes); }

 private:
  size_t bytes_;
  std::array<std::byte, 8 + kMaxUserKeyBytes> text_;
};

// What stands behind a key, valid until the read that is pinned ends; nothing: no such key.
// Precondition: a read is pinned.
Result<std::optional<Bytes>> lookup(const Sight& sight, PageReader& reader, const FullKey& key);
// The same in the memtables alone; nothing: they do not know.
std::optional<std::optional<Bytes>> lookup_memory(const Sight& sight, const FullKey& key);
// In the tree alone.
Result<std::optional<Bytes>> lookup_tree(const Root& root, PageReader& reader,
                                         std::string_view page_key);

}  // namespace splitring::kv
