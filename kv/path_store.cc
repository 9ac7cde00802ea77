#include "kv/path_store.h"

#include <algorithm>
#include <ctime>

namespace splitring::kv {
namespace {

int64_t now_s() { return static_cast<int64_t>(::time(nullptr)); }

// What is below a dictionary: keys that begin with its name and a slash.
std::string below(const std::string& key) { return key.empty() ? key : key + '/'; }

Entry entry_of(const Item& item) {
  return {.kind = Kind::kValue, .size = item.size, .modified_s = item.modified_s};
}

}  // namespace

// Holds on to the view that it was opened on; in a transaction it lives as long as that.
class PathStore::TreeValue final : public Value {
 public:
  TreeValue(uint64_t size, Reading reading, TreeId tree, std::string key)
      : Value(size), reading_(std::move(reading)), tree_(tree), key_(std::move(key)) {}

  [[nodiscard]] Piece locate(uint64_t /*offset*/) const override { return Elsewhere{}; }

 private:
  Result<> do_read(uint64_t offset, std::span<std::byte> out) override {
    while (!out.empty()) {
      const size_t count = TRY(reading_.reader->read(tree_, key_, offset, out));
      if (count == 0) return fail(Errc::kConflict, printable_key(key_) + " became shorter");
      out = out.subspan(count);
      offset += count;
    }
    return {};
  }

  Reading reading_;
  TreeId tree_;
  std::string key_;
};

Result<PathStore::Reading> PathStore::reading() {
  if (tx_ != nullptr) return Reading{.view = nullptr, .reader = tx_};
  if (view_ != nullptr) return Reading{.view = view_, .reader = view_.get()};
  auto view = std::make_shared<View>(TRY(session_->view()));
  TreeReader* const reader = view.get();
  return Reading{.view = std::move(view), .reader = reader};
}

Result<std::optional<Entry>> PathStore::do_find(const std::string& key) {
  const Reading from = TRY(reading());
  if (!key.empty() && key.size() <= kMaxStoredKeyBytes)
    if (const auto item = TRY(from.reader->find(tree_, key))) return std::optional(entry_of(*item));
  if (key.size() > kMaxStoredKeyBytes) return std::optional<Entry>();
  TreeCursor cursor = from.reader->cursor(tree_, KeyRange::prefix(below(key)));
  if (key.empty() || TRY(cursor.first()))
    return std::optional(Entry{.kind = Kind::kDictionary, .size = 0});
  return std::optional<Entry>();
}

Result<std::vector<Child>> PathStore::do_list(const std::string& key) {
  const Reading from = TRY(reading());
  const std::string start = below(key);
  TreeCursor cursor = from.reader->cursor(tree_, KeyRange::prefix(start));
  std::vector<Child> children;
  bool more = TRY(cursor.first());
  while (more) {
    const std::string_view rest = cursor.key().substr(start.size());
    const size_t slash = rest.find('/');
    const std::string name(rest.substr(0, slash));
    const bool shown = is_key_component(name);
    if (slash == std::string_view::npos) {
      if (shown) children.push_back({name, entry_of(TRY(from.reader->item(cursor)))});
      more = TRY(cursor.next());
      continue;
    }
    if (shown) children.push_back({name, {.kind = Kind::kDictionary, .size = 0}});
    // Over all that is in it: '0' comes directly behind '/'.
    const std::string behind = start + name + '0';
    more = TRY(cursor.seek(behind));
    if (more && cursor.key() < behind)
      return fail(Errc::kInvalid, "the keys of the store are out of order; see kv check");
  }
  return children;
}

Result<std::unique_ptr<Value>> PathStore::do_open(const std::string& key) {
  Reading from = TRY(reading());
  const auto item = TRY(from.reader->find(tree_, key));
  if (!item) return fail(Errc::kNotFound, "no such key: " + printable_key(key));
  return std::unique_ptr<Value>(
      std::make_unique<TreeValue>(item->size, std::move(from), tree_, key));
}

Result<> PathStore::do_write(const std::string& key, std::string_view value) {
  return tx_->put(tree_, key, value, now_s());
}

Result<> PathStore::do_remove(const std::string& key, Kind kind) {
  if (kind == Kind::kValue) return tx_->remove(tree_, key);
  TRY(tx_->remove_range(tree_, KeyRange::prefix(below(key))));
  return {};
}

Result<> PathStore::do_rename(const std::string& from, const std::string& to, Kind kind) {
  if (kind == Kind::kValue) return tx_->rename(tree_, from, to);
  std::vector<std::string> names;
  TRY_VOID(tx_->iter(tree_, KeyRange::prefix(below(from)), [&](std::string_view key, const Item&) {
    names.emplace_back(key.substr(from.size()));
    return true;
  }));
  for (const std::string& name : names) TRY_VOID(tx_->rename(tree_, from + name, to + name));
  return {};
}

Result<> PathStore::do_set_partial(const std::string& key, uint64_t offset,
                                   std::string_view bytes) {
  return tx_->write_at(tree_, key, offset, bytes, now_s());
}

Result<> PathStore::do_allocate(const std::string& key, uint64_t size) {
  return tx_->allocate(tree_, key, size, now_s());
}

Result<> PathStore::do_make_dictionary(const std::string& key) {
  return tx_->put(tree_, below(key), {}, now_s());
}

Result<> PathStore::do_write_stream(const std::string& key, const Source& next,
                                    const Check& check) {
  if (session_ == nullptr) return fail(Errc::kPermission, "what is shown here cannot be changed");
  std::string head(kMaxInlineBytes + 1, '\0');
  const auto head_bytes = std::as_writable_bytes(std::span(head));
  size_t filled = 0;
  while (filled < head.size()) {
    const size_t count = TRY(next(head_bytes.subspan(filled)));
    if (count == 0) break;
    filled += count;
  }
  StagedValue staged;
  size_t shown = 0;
  if (filled == head.size())
    staged = TRY(session_->stage([&](std::span<std::byte> out) -> Result<size_t> {
      if (shown == filled) return next(out);
      const size_t count = std::min(out.size(), filled - shown);
      std::memcpy(out.data(), head.data() + shown, count);
      shown += count;
      return count;
    }));
  return session_->with_tx([&](Transaction& tx) -> Result<> {
    PathStore inside(tx, tree_);
    TRY_VOID(check(inside));
    if (filled == head.size()) return tx.put_staged(tree_, key, std::move(staged), now_s());
    return tx.put(tree_, key, std::string_view(head).substr(0, filled), now_s());
  });
}

Result<> PathStore::do_with_tx(const Body& body) {
  if (session_ == nullptr) return fail(Errc::kPermission, "what is shown here cannot be changed");
  return session_->with_tx([&](Transaction& tx) {
    PathStore inside(tx, tree_);
    return body(inside);
  });
}

}  // namespace splitring::kv
