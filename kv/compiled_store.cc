#include "kv/compiled_store.h"

#include <algorithm>
#include <cstring>

#include "base/units.h"

namespace splitring::kv {
namespace {

class CompiledValue final : public Value {
 public:
  explicit CompiledValue(std::span<const std::byte> bytes) : Value(bytes.size()), bytes_(bytes) {}
  [[nodiscard]] Piece locate(uint64_t offset) const override {
    return InMemory{bytes_.subspan(offset)};
  }

 private:
  Result<> do_read(uint64_t offset, std::span<std::byte> out) override {
    const auto from = bytes_.subspan(offset, out.size());
    std::copy(from.begin(), from.end(), out.begin());
    return {};
  }

  std::span<const std::byte> bytes_;
};

// What is left of a key behind the dictionary that holds it.
std::string_view name_in(std::string_view directory, std::string_view key) {
  const size_t front = directory.empty() ? 0 : directory.size() + 1;
  return key.substr(std::min(front, key.size()));
}

tl::unexpected<Error> refuse(const char* why) {
  return fail(Errc::kInvalid, std::string("compiled-in directory: ") + why +
                                  "; make it again with this version's splitring crunch");
}

}  // namespace

Result<std::unique_ptr<CompiledStore>> CompiledStore::load(const unsigned char* image) {
  ImageHeader header;
  std::memcpy(&header, image, sizeof(header));
  return load(std::as_bytes(std::span(image, static_cast<size_t>(header.image_bytes))));
}

Result<std::unique_ptr<CompiledStore>> CompiledStore::load(std::span<const std::byte> image) {
  ImageHeader header;
  if (image.size() < sizeof(header)) return refuse("cut short");
  std::memcpy(&header, image.data(), sizeof(header));
  if (std::string_view(header.magic.data(), header.magic.size()) != kImageMagic)
    return refuse("this is none");
  if (header.version != kImageVersion) return refuse("of another version");
  if (header.image_bytes != image.size()) return refuse("cut short");
  const uint64_t count = header.entry_count;
  if (count == 0 || count > (image.size() - sizeof(header)) / sizeof(ImageEntry))
    return refuse("its table is longer than itself");
  // Byte arrays of alignment 1: they may be read where they lie.
  const std::span entries(reinterpret_cast<const ImageEntry*>(image.data() + sizeof(header)),
                          count);
  std::unique_ptr<CompiledStore> store(new CompiledStore(image, entries));
  TRY_VOID(store->check());
  return store;
}

// That every entry lies within the image, and below the dictionary that it is listed in.
Result<> CompiledStore::check() const {
  std::vector<size_t> above;  // the dictionaries that entry i is in
  for (size_t i = 0; i < entries_.size(); i++) {
    const ImageEntry& entry = entries_[i];
    if (!in_range(entry.key_at, entry.key_bytes, image_.size()) ||
        !in_range(entry.at, entry.size, image_.size()))
      return refuse("an entry points out of it");
    while (!above.empty() && entries_[above.back()].end <= i) above.pop_back();
    const size_t end = above.empty() ? entries_.size() : size_t{entries_[above.back()].end};
    if (entry.end != 0 && (entry.end <= i || entry.end > end))
      return refuse("a dictionary does not end where it should");
    if (i == 0) {
      if (entry.end != entries_.size() || entry.key_bytes != 0) return refuse("it has no root");
    } else {
      const std::string_view directory = key_of(entries_[above.back()]);
      const std::string_view key = key_of(entry);
      const std::string_view name = name_in(directory, key);
      if (!key_before(key_of(entries_[i - 1]), key) || !is_normal_key(key) ||
          !is_key_component(name) || key != child_key(directory, name))
        return refuse("its keys are out of order");
    }
    if (entry.end != 0) above.push_back(i);
  }
  return {};
}

std::string_view CompiledStore::key_of(const ImageEntry& entry) const {
  return {reinterpret_cast<const char*>(image_.data()) + entry.key_at, entry.key_bytes};
}

const ImageEntry* CompiledStore::lookup(std::string_view key) const {
  const auto found =
      std::partition_point(entries_.begin(), entries_.end(),
                           [&](const ImageEntry& entry) { return key_before(key_of(entry), key); });
  if (found == entries_.end() || key_of(*found) != key) return nullptr;
  return &*found;
}

Entry CompiledStore::describe(const ImageEntry& entry) {
  Entry described;
  described.kind = entry.end != 0 ? Kind::kDictionary : Kind::kValue;
  described.size = entry.size;
  const auto modified_s = static_cast<int64_t>(uint64_t{entry.modified_s});
  if (modified_s != kUnknownTime) described.modified_s = modified_s;
  return described;
}

Result<std::optional<Entry>> CompiledStore::do_find(const std::string& key) {
  const ImageEntry* const entry = lookup(key);
  if (entry == nullptr) return std::optional<Entry>();
  return std::optional(describe(*entry));
}

Result<std::vector<Child>> CompiledStore::do_list(const std::string& key) {
  std::vector<Child> children;
  const ImageEntry* const directory = lookup(key);
  if (directory == nullptr) return children;
  size_t i = static_cast<size_t>(directory - entries_.data()) + 1;
  while (i < directory->end) {
    const ImageEntry& child = entries_[i];
    children.push_back({std::string(name_in(key, key_of(child))), describe(child)});
    i = child.end != 0 ? size_t{child.end} : i + 1;
  }
  return children;
}

Result<std::unique_ptr<Value>> CompiledStore::do_open(const std::string& key) {
  const ImageEntry* const entry = lookup(key);
  if (entry == nullptr) return fail(Errc::kNotFound, "no such key: " + printable_key(key));
  return std::make_unique<CompiledValue>(image_.subspan(entry->at, entry->size));
}

std::optional<Digest> CompiledStore::known_digest(const std::string& key) {
  const ImageEntry* const entry = lookup(key);
  if (entry == nullptr) return std::nullopt;
  return entry->digest;
}

}  // namespace splitring::kv
