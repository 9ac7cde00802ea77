#include "kv/write_store.h"

namespace splitring::kv {
namespace {

Result<std::string> stored_key(std::string_view key) {
  std::string normal = TRY(normal_key(key));
  if (normal.size() > kMaxStoredKeyBytes)
    return fail(Errc::kInvalid, printable_key(key) + " is longer than 1000 bytes");
  return normal;
}

Result<std::string> value_key(std::string_view key) {
  std::string normal = TRY(stored_key(key));
  if (normal.empty()) return fail(Errc::kInvalid, "the root is a dictionary, no value");
  return normal;
}

bool is_within(std::string_view key, std::string_view dictionary) {
  return key.size() > dictionary.size() && key.starts_with(dictionary) &&
         (dictionary.empty() || key[dictionary.size()] == '/');
}

}  // namespace

Result<> WriteStore::change(const Body& body) { return in_tx() ? body(*this) : do_with_tx(body); }

Result<> WriteStore::with_tx(const Body& body) {
  if (in_tx()) return fail(Errc::kUnsupported, "transactions do not nest");
  return do_with_tx(body);
}

Result<> WriteStore::may_be_below(const std::string& key) {
  for (size_t slash = key.find('/'); slash != std::string::npos; slash = key.find('/', slash + 1)) {
    const std::string above = key.substr(0, slash);
    if (TRY(exists(above)) == Kind::kValue)
      return fail(Errc::kInvalid, printable_key(above) + " is a value: nothing can be below it");
  }
  return {};
}

Result<> WriteStore::may_hold_value(const std::string& key) {
  TRY_VOID(may_be_below(key));
  if (TRY(exists(key)) == Kind::kDictionary)
    return fail(Errc::kInvalid, printable_key(key) + " is a dictionary, no value");
  return {};
}

Result<> WriteStore::write(std::string_view key, std::string_view value) {
  const std::string normal = TRY(value_key(key));
  return change([&](WriteStore& tx) -> Result<> {
    TRY_VOID(tx.may_hold_value(normal));
    return tx.do_write(normal, value);
  });
}

Result<> WriteStore::write_stream(std::string_view key, const Source& next) {
  const std::string normal = TRY(value_key(key));
  if (in_tx()) return fail(Errc::kUnsupported, "a transaction does not wait for a stream");
  return do_write_stream(normal, next, [&](WriteStore& tx) { return tx.may_hold_value(normal); });
}

Result<> WriteStore::remove(std::string_view key) {
  const std::string normal = TRY(stored_key(key));
  return change([&](WriteStore& tx) -> Result<> {
    const auto kind = TRY(tx.exists(normal));
    return kind ? tx.do_remove(normal, *kind) : Result<>();
  });
}

Result<> WriteStore::rename_here(const std::string& from, std::string to) {
  const auto kind = TRY(exists(from));
  if (!kind) return fail(Errc::kNotFound, "no such key: " + printable_key(from));
  auto there = TRY(exists(to));
  if (from == to) return {};
  if (there == Kind::kDictionary) {
    to = child_key(to, from.substr(from.rfind('/') + 1));
    if (to.size() > kMaxStoredKeyBytes)
      return fail(Errc::kInvalid, printable_key(to) + " is longer than 1000 bytes");
    if (from == to) return {};
    there = TRY(exists(to));
  }
  if (kind == Kind::kDictionary && is_within(to, from))
    return fail(Errc::kInvalid, printable_key(from) + " cannot move into itself");
  if (kind == Kind::kDictionary && there == Kind::kValue)
    return fail(Errc::kInvalid, printable_key(to) + " is a value, no dictionary");
  if (there == Kind::kDictionary)
    return fail(Errc::kExists, printable_key(to) + " is a dictionary already");
  TRY_VOID(may_be_below(to));
  return do_rename(from, to, *kind);
}

Result<> WriteStore::rename(std::string_view from, std::string_view to) {
  const std::string old_key = TRY(value_key(from));
  const std::string new_key = TRY(stored_key(to));
  return change([&](WriteStore& tx) { return tx.rename_here(old_key, new_key); });
}

Result<> WriteStore::set_partial(std::string_view key, uint64_t offset, std::string_view bytes) {
  const std::string normal = TRY(value_key(key));
  return change([&](WriteStore& tx) -> Result<> {
    TRY(tx.size(normal));
    return tx.do_set_partial(normal, offset, bytes);
  });
}

Result<> WriteStore::allocate(std::string_view key, uint64_t size) {
  const std::string normal = TRY(value_key(key));
  return change([&](WriteStore& tx) -> Result<> {
    if (TRY(tx.exists(normal)))
      return fail(Errc::kExists, printable_key(normal) + " is there already");
    TRY_VOID(tx.may_be_below(normal));
    return tx.do_allocate(normal, size);
  });
}

Result<> WriteStore::make_dictionary(std::string_view key) {
  const std::string normal = TRY(stored_key(key));
  return change([&](WriteStore& tx) -> Result<> {
    const auto kind = TRY(tx.exists(normal));
    if (kind == Kind::kDictionary) return {};
    if (kind) return fail(Errc::kInvalid, printable_key(normal) + " is a value");
    TRY_VOID(tx.may_be_below(normal));
    return tx.do_make_dictionary(normal);
  });
}

}  // namespace splitring::kv
