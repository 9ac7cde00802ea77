#include "kv/tar_store.h"

namespace splitring::kv {
namespace {

class TarValue final : public Value {
 public:
  TarValue(const TarFileSystem& tar, BlockQueue* lane, const TarEntry& file)
      : Value(file.size), tar_(tar), lane_(lane), file_(file) {}

  [[nodiscard]] Piece locate(uint64_t offset) const override {
    const TarRun run = run_at(file_, offset);
    if (run.offset) return OnDisk{*run.offset, run.bytes};
    return Zeroes{run.bytes};
  }

 private:
  Result<> do_read(uint64_t offset, std::span<std::byte> out) override {
    if (lane_ == nullptr) return fail(Errc::kUnsupported, "this store is for names only");
    TRY_VOID(tar_.read(*lane_, file_, offset, out));
    return {};
  }
  [[nodiscard]] BlockQueue* lane() const override { return lane_; }

  const TarFileSystem& tar_;
  BlockQueue* const lane_;
  TarEntry file_;  // its views live as long as the archive
};

// What the store shows of an entry that is no link any more.
std::optional<Entry> shown(const TarEntry& entry, bool is_link) {
  const auto modified_s = entry.implied ? std::nullopt : std::optional(entry.mtime_s);
  if (entry.kind == TarKind::kFile) return Entry{Kind::kValue, entry.size, modified_s, is_link};
  if (entry.kind == TarKind::kDirectory) return Entry{Kind::kDictionary, 0, modified_s, is_link};
  return std::nullopt;
}

// Whether the key's last component is a link; those before it may be links too.
bool ends_in_link(const TarFileSystem& tar, const std::string& key) {
  auto entry = tar.find(key);
  if (!entry) {
    const size_t slash = key.rfind('/');
    const auto parent = tar.resolve(key.substr(0, slash == std::string::npos ? 0 : slash));
    if (parent) entry = tar.find(child_key(parent->path, key.substr(slash + 1)));
  }
  return entry && entry->kind == TarKind::kSymlink;
}

}  // namespace

Result<std::optional<Entry>> TarStore::do_find(const std::string& key) {
  const auto entry = tar_.resolve(key);
  if (!entry) return std::optional<Entry>();
  return shown(*entry, ends_in_link(tar_, key));
}

Result<std::vector<Child>> TarStore::do_list(const std::string& key) {
  std::vector<Child> children;
  const auto directory = tar_.resolve(key);
  if (!directory) return children;
  for (const TarEntry& child : tar_.list(directory->path)) {
    if (!is_key_component(child.base_name())) continue;
    const bool is_link = child.kind == TarKind::kSymlink;
    const auto target = is_link ? tar_.resolve(child.path) : child;
    const auto entry = target ? shown(*target, is_link) : std::nullopt;
    if (entry) children.push_back({std::string(child.base_name()), *entry});
  }
  return children;
}

Result<std::unique_ptr<Value>> TarStore::do_open(const std::string& key) {
  const auto file = tar_.resolve(key);
  if (!file || file->kind != TarKind::kFile)
    return fail(Errc::kNotFound, "no such key: " + printable_key(key));
  return std::make_unique<TarValue>(tar_, lane_, *file);
}

}  // namespace splitring::kv
