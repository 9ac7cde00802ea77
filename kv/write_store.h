// A key-value store to read and write: the original's read-write interface (iter, read, size,
// write, remove, and with_tx in which they see what the transaction wrote) and what mirage-kv's
// KV.RW offers since (set_partial, rename, allocate), over the read-only one (read_store.h).
//
// Every change is a transaction of its own, durable when the call returns; inside with_tx they are
// one. Unlike a read-only store this one shows the present: two calls may see two states, unless
// they are in one transaction. One thread owns it.
//
// Keys as in read_store.h, of at most kMaxStoredKeyBytes. A value's dictionaries come with it and
// go with the last value in them, but for those that make_dictionary() made. Errors of all:
// kInvalid: no key, or a value where a dictionary would have to be (or the other way round);
// kNoSpace; kLimit; the medium's.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kv/read_store.h"

namespace splitring::kv {

inline constexpr size_t kMaxStoredKeyBytes = 1000;

class WriteStore : public ReadStore {
 public:
  // Replaces the value, or makes it.
  Result<> write(std::string_view key, std::string_view value);
  // A value of any length, piece by piece: `next` fills what it is given and returns the number of
  // bytes, 0 at the end. Nothing is changed if it fails. Not in a transaction: kUnsupported.
  using Source = std::function<Result<size_t>(std::span<std::byte> out)>;
  Result<> write_stream(std::string_view key, const Source& next);
  // A value, or a dictionary with all that is in it. Nothing there: nothing to do.
  Result<> remove(std::string_view key);
  // A value or dictionary gets another key; what was a value there is replaced. Onto a dictionary:
  // it moves into it under its last component. kNotFound; kInvalid: into itself, or a dictionary
  // onto a value.
  Result<> rename(std::string_view from, std::string_view to);
  // Overwrites bytes from `offset`; the value grows where they go beyond its end. kNotFound.
  Result<> set_partial(std::string_view key, uint64_t offset, std::string_view bytes);
  // A value of zeroes that takes no space until it is written. kExists.
  Result<> allocate(std::string_view key, uint64_t size);
  Result<> make_dictionary(std::string_view key);

  // Runs `body` on a store that is this one within a transaction: its changes are one, and nothing
  // of them remains if it fails; its error is returned. `tx` goes when it returns. Test-and-set:
  // read, compare, and return kConflict to change nothing. Do not nest: kUnsupported.
  using Body = std::function<Result<>(WriteStore& tx)>;
  Result<> with_tx(const Body& body);

 protected:
  WriteStore() = default;
  using Check = std::function<Result<>(WriteStore& tx)>;

 private:
  // All of these get normal keys that are not too long, and have been found to be allowed in the
  // transaction that they are called in.
  virtual Result<> do_write(const std::string& key, std::string_view value) = 0;
  virtual Result<> do_remove(const std::string& key, Kind kind) = 0;
  virtual Result<> do_rename(const std::string& from, const std::string& to, Kind kind) = 0;
  virtual Result<> do_set_partial(const std::string& key, uint64_t offset,
                                  std::string_view bytes) = 0;
  virtual Result<> do_allocate(const std::string& key, uint64_t size) = 0;
  virtual Result<> do_make_dictionary(const std::string& key) = 0;
  // Calls `check` in the transaction before the value gets its key.
  virtual Result<> do_write_stream(const std::string& key, const Source& next,
                                   const Check& check) = 0;
  virtual Result<> do_with_tx(const Body& body) = 0;
  [[nodiscard]] virtual bool in_tx() const = 0;

  // In this transaction, or in one of its own.
  Result<> change(const Body& body);
  // That a value may stand there: no part of the key names a value, and itself no dictionary.
  Result<> may_hold_value(const std::string& key);
  Result<> may_be_below(const std::string& key);
  Result<> rename_here(const std::string& from, std::string to);
};

}  // namespace splitring::kv
