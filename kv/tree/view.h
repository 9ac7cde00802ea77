// Reading a store: as of one transaction, for as long as the reader likes.
//
// A view belongs to the thread of its session and does not outlive it. It takes no lock and waits
// for nobody; while it lives, what it shows is not reused, so a view that is held for long costs
// space. get() and friends copy; what visit() shows is gone when its callback returns.
//
// Keys: 1 to 1024 bytes, any bytes, ordered as such. kInvalid: another length.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kv/tree/cursor.h"

namespace splitring::kv {

enum class TreeId : uint32_t {};
// Every store has it.
inline constexpr TreeId kDefaultTree{kFirstTree};

// What is known of a value.
struct Item {
  uint64_t size = 0;
  std::optional<int64_t> modified_s;  // since 1970, if it was written with that
};

struct TreeName {
  std::string name;
  TreeId tree;
};

// What view and transaction share.
class TreeReader {
 public:
  static constexpr uint64_t kMaxGet = uint64_t{64} << 20;

  TreeReader(const TreeReader&) = delete;
  TreeReader& operator=(const TreeReader&) = delete;

  // kNotFound. The empty name is the default tree's.
  Result<TreeId> tree(std::string_view name);
  Result<std::vector<TreeName>> trees();

  Result<std::optional<Item>> find(TreeId tree, std::string_view key);
  // Whether the key is there; its value goes to `value`, which is reused. kLimit: longer than
  // `limit`: read it in pieces.
  Result<bool> get(TreeId tree, std::string_view key, std::string& value, uint64_t limit = kMaxGet);
  // The same in one expression; nothing: no such key.
  Result<std::optional<std::string>> get(TreeId tree, std::string_view key);
  // Bytes of the value from `offset`; the number of them, 0 at and behind its end. kNotFound.
  Result<size_t> read(TreeId tree, std::string_view key, uint64_t offset, std::span<std::byte> out);
  // For each key its value or nothing, many reads in flight.
  Result<std::vector<std::optional<std::string>>> get_many(TreeId tree,
                                                           std::span<const std::string> keys);

  TreeCursor cursor(TreeId tree, const KeyRange& range = {});
  // What stands at the cursor.
  Result<Item> item(const TreeCursor& cursor);
  Result<> value(const TreeCursor& cursor, std::string& value, uint64_t limit = kMaxGet);
  // Calls `visit` with every key of the range in order, until it returns false.
  using Visit = std::function<bool(std::string_view key, const Item& item)>;
  Result<> iter(TreeId tree, const KeyRange& range, const Visit& visit);
  Result<uint64_t> count(TreeId tree, const KeyRange& range);

 protected:
  TreeReader(const Sight& sight, PageReader& reader) : sight_(sight), reader_(&reader) {}
  ~TreeReader() = default;
  TreeReader(TreeReader&&) noexcept = default;

  [[nodiscard]] const Sight& sight() const { return sight_; }
  [[nodiscard]] PageReader& reader() const { return *reader_; }
  // A copy of what is stored; nothing: no such key.
  Result<std::optional<std::string>> payload_of(uint32_t tree, std::string_view key);
  Result<> read_elsewhere(uint64_t number, uint64_t offset, std::span<std::byte> out);

 private:
  Result<> value_of(Bytes payload, std::string& value, uint64_t limit);

  Sight sight_;
  PageReader* reader_;
};

// Gives a slot back.
struct GiveBackSlot {
  void operator()(Epochs::Slot* slot) const noexcept { Epochs::give_back(*slot); }
};
using OwnedSlot = std::unique_ptr<Epochs::Slot, GiveBackSlot>;

class View final : public TreeReader {
 public:
  View(View&&) noexcept = default;

 private:
  friend class Session;
  View(const Sight& sight, PageReader& reader, OwnedSlot pinned)
      : TreeReader(sight, reader), pinned_(std::move(pinned)) {}

  OwnedSlot pinned_;
};

}  // namespace splitring::kv
