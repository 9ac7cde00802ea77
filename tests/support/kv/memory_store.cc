#include "tests/support/kv/memory_store.h"

#include <algorithm>

namespace splitring::test {
namespace {

// As if compressed: nothing but read() reaches its bytes.
class MemoryValue final : public kv::Value {
 public:
  MemoryValue(const std::string& bytes, const bool& broken)
      : Value(bytes.size()), bytes_(bytes), broken_(broken) {}
  [[nodiscard]] kv::Piece locate(uint64_t) const override { return kv::Elsewhere{}; }

 private:
  Result<> do_read(uint64_t offset, std::span<std::byte> out) override {
    if (broken_) return fail(Errc::kIo, "the medium failed");
    std::copy_n(reinterpret_cast<const std::byte*>(bytes_.data()) + offset, out.size(),
                out.begin());
    return {};
  }

  const std::string& bytes_;
  const bool& broken_;
};

}  // namespace

Result<std::optional<kv::Entry>> MemoryStore::do_find(const std::string& key) {
  const auto value = values_.find(key);
  if (value != values_.end())
    return std::optional(kv::Entry{kv::Kind::kValue, value->second.size(), {}, false});
  const std::string directory = key.empty() ? "" : key + "/";
  const auto below = values_.lower_bound(directory);
  if (key.empty() || (below != values_.end() && below->first.starts_with(directory)))
    return std::optional(kv::Entry{kv::Kind::kDictionary, 0, {}, false});
  return std::optional<kv::Entry>();
}

Result<std::vector<kv::Child>> MemoryStore::do_list(const std::string& key) {
  const std::string directory = key.empty() ? "" : key + "/";
  std::map<std::string, kv::Entry> children;
  for (const auto& [name, bytes] : values_) {
    if (!name.starts_with(directory) || name == directory) continue;
    const std::string rest = name.substr(directory.size());
    const std::string child = rest.substr(0, rest.find('/'));
    children[child] = **do_find(directory + child);
  }
  std::vector<kv::Child> list;
  for (const auto& [name, entry] : children) list.push_back({name, entry});
  return list;
}

Result<std::unique_ptr<kv::Value>> MemoryStore::do_open(const std::string& key) {
  return std::make_unique<MemoryValue>(values_.at(key), broken_);
}

}  // namespace splitring::test
