// A key-value store to read from: keys name values, and dictionaries that hold more keys.
//
// The original's interface (iter over keys, read a value as a stream of buffers, size) and what
// mirage-kv's KV.RO offers since (exists, get, get_partial, list, last_modified, digest). Whoever
// implements it says what a key names, lists a dictionary and opens a value; all else is here,
// once, and tested for every store by one suite (tests/support/kv/store_conformance.h).
//
// A store is a view: what it shows does not change while it lives. One thread owns it, with all its
// values; a store is cheap to make, so each thread has its own over what is shared below (an index,
// a program's own data). Blocks where its medium does.
//
// Keys in any spelling that kv/key.h takes. Errors of all: kInvalid: that is no key; the medium's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kv/digest.h"
#include "kv/key.h"
#include "kv/value.h"

namespace splitring::kv {

enum class Kind : uint8_t { kValue, kDictionary };
const char* to_string(Kind kind);

struct Entry {
  Kind kind = Kind::kValue;
  uint64_t size = 0;                       // of a value, in bytes; 0 of a dictionary
  std::optional<int64_t> modified_s = {};  // since 1970, if the store knows
  bool is_link = false;                    // it shows something that has a key of its own as well
};

struct Child {
  std::string name;  // one component
  Entry entry;
};

// What get() and get_partial() return at most, unless told: a value's size is not its reader's.
inline constexpr uint64_t kMaxGetBytes = uint64_t{64} << 20;

class ReadStore {
 public:
  virtual ~ReadStore() = default;
  ReadStore(const ReadStore&) = delete;
  ReadStore& operator=(const ReadStore&) = delete;

  // All that is known of a key at once. Nothing: it names nothing.
  Result<std::optional<Entry>> find(std::string_view key);
  Result<std::optional<Kind>> exists(std::string_view key);
  // What a dictionary holds, ordered by name (as bytes). kNotFound; kInvalid: it is a value.
  Result<std::vector<Child>> list(std::string_view key);

  // kNotFound; kInvalid: it is a dictionary.
  Result<std::unique_ptr<Value>> open(std::string_view key);
  Result<uint64_t> size(std::string_view key);
  // kLimit: longer than `limit`; open() it and read it as a stream.
  Result<std::string> get(std::string_view key, uint64_t limit = kMaxGetBytes);
  // Bytes [offset, offset + length), as far as the value goes. kLimit: more than `limit`.
  Result<std::string> get_partial(std::string_view key, uint64_t offset, uint64_t length,
                                  uint64_t limit = kMaxGetBytes);

  // Of a value or dictionary; nothing if the store does not know. kNotFound.
  Result<std::optional<int64_t>> last_modified(std::string_view key);
  // Of a value: of its bytes. Of a dictionary: of one line a child, in the order of list():
  // digest in hexadecimal, " value " or " dictionary ", name, NUL. Equal contents, equal digests,
  // in every store; links count as what they show, but a link to a dictionary as one that is empty
  // (it may lead back up). kNotFound.
  Result<Digest> digest(std::string_view key);

  // Calls `visit` with the key of every value below `key` (or of itself), a dictionary's values
  // and dictionaries in the order of list(); does not go through links to dictionaries. False from
  // `visit` ends it.
  using Visit = std::function<bool(const std::string& key, const Entry& entry)>;
  Result<> iter(std::string_view key, const Visit& visit);

 protected:
  ReadStore() = default;

 private:
  // All of these get normal keys. The empty one is always a dictionary.
  virtual Result<std::optional<Entry>> do_find(const std::string& key) = 0;
  // Of a key that find() calls a dictionary; in any order.
  virtual Result<std::vector<Child>> do_list(const std::string& key) = 0;
  // Of a key that find() calls a value.
  virtual Result<std::unique_ptr<Value>> do_open(const std::string& key) = 0;
  // A digest that the store has at hand, of a value. Nothing: it is computed.
  virtual std::optional<Digest> known_digest(const std::string& /*key*/) { return std::nullopt; }

  Result<Entry> must_find(const std::string& key);
  Result<Entry> must_be(Kind kind, const std::string& key);
  Result<std::vector<Child>> sorted_children(const std::string& key);
  Result<Digest> value_digest(const std::string& key);
  Result<Digest> dictionary_digest(const std::string& key);
};

}  // namespace splitring::kv
