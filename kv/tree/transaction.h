// Changing a store: all of it or nothing. Reads see the transaction's own writes.
//
// Made by Session::with_tx, for the body's time only. When an operation fails the body decides
// whether to go on; a body that fails leaves nothing behind.
#pragma once

#include <string>
#include <vector>

#include "kv/tree/payload.h"
#include "kv/tree/space_map.h"
#include "kv/tree/view.h"

namespace splitring::kv {

class TreeStore;
class Session;

enum class Durability : uint8_t {
  kDurable,  // on the disk when the commit returns
  kRelaxed,  // with the next one that is durable, a sync() or a checkpoint; whatever is lost to a
             // crash is the last ones, in order
};

// A value that has been written to the disk, and nobody names yet. Gives its pages back when it
// goes without having been put. Move-only.
class StagedValue {
 public:
  StagedValue() = default;
  explicit StagedValue(SpaceMap& space) : space_(&space) {}
  StagedValue(StagedValue&& other) noexcept
      : length(other.length), parts(std::move(other.parts)), space_(other.space_) {
    other.parts.clear();
  }
  StagedValue& operator=(StagedValue&& other) noexcept {
    std::swap(length, other.length);
    std::swap(parts, other.parts);
    std::swap(space_, other.space_);
    return *this;
  }
  StagedValue(const StagedValue&) = delete;
  StagedValue& operator=(const StagedValue&) = delete;
  ~StagedValue() {
    for (const Part& part : parts) space_->give_back({part.segment.page, part.segment.pages()});
  }

  // Writes bytes at `offset` as segments. Precondition: they do not cross a multiple of
  // kSegmentBytes. kNoSpace.
  Result<> write(uint64_t offset, Bytes bytes, BlockQueue& lane);

  struct Part {
    uint64_t offset;
    Segment segment;
  };
  uint64_t length = 0;
  std::vector<Part> parts;

 private:
  SpaceMap* space_ = nullptr;
};

class Transaction final : public TreeReader {
 public:
  // What was not committed is rolled back.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // kNoSpace; kLimit: more than this key or value may be long.
  Result<> put(TreeId tree, std::string_view key, std::string_view value,
               std::optional<int64_t> modified_s = std::nullopt);
  Result<> put_staged(TreeId tree, std::string_view key, StagedValue&& value,
                      std::optional<int64_t> modified_s = std::nullopt);
  // Whether it was there is not looked at: removing nothing is fine.
  Result<> remove(TreeId tree, std::string_view key);
  // The number of keys that were removed.
  Result<uint64_t> remove_range(TreeId tree, const KeyRange& range);
  // The value moves without being copied; what was at `to` is replaced. kNotFound.
  Result<> rename(TreeId tree, std::string_view from, std::string_view to);
  // Overwrites bytes of a value from `offset`, which grows where they go beyond its end (between
  // the two, zeroes); only what they touch is written. A key that is not there begins empty.
  Result<> write_at(TreeId tree, std::string_view key, uint64_t offset, std::string_view bytes,
                    std::optional<int64_t> modified_s = std::nullopt);
  // A value of zeroes that takes no space until it is written.
  Result<> allocate(TreeId tree, std::string_view key, uint64_t size,
                    std::optional<int64_t> modified_s = std::nullopt);

  // The tree of that name, made if it is not there. kInvalid: longer than 255 bytes.
  Result<TreeId> create_tree(std::string_view name);
  // With all that is in it. kNotFound.
  Result<> remove_tree(std::string_view name);

 private:
  friend class Session;
  Transaction(TreeStore& store, const Sight& sight, PageReader& reader, Memtable& memtable,
              uint64_t sequence)
      : TreeReader(sight, reader),
        store_(store),
        memtable_(memtable),
        bytes_before_(memtable.bytes()),
        sequence_(sequence) {}

  Result<> check(std::string_view key) const;
  void change(ChangeKind kind, uint32_t tree, std::string_view key, Bytes payload);
  void put_segment(uint64_t number, uint64_t offset, const Segment& segment);
  Result<> put_elsewhere(TreeId tree, std::string_view key, uint64_t number, uint64_t length,
                         std::optional<int64_t> modified_s);
  Result<> take_over(uint64_t number, StagedValue&& value);
  // Of a value elsewhere: one stretch of kSegmentBytes gets new content.
  Result<> replace_stretch(uint64_t number, uint64_t first, Bytes content);
  Result<uint64_t> new_number();
  // It is committed.
  void keep() { kept_ = true; }

  TreeStore& store_;
  Memtable& memtable_;
  const uint64_t bytes_before_;  // of the memtable
  const uint64_t sequence_;
  uint64_t numbers_ = 0;
  uint32_t changes_ = 0;
  bool grows_ = false;
  bool kept_ = false;
  std::string log_;
  std::string scratch_;
  std::vector<Memtable::Node*> touched_;
  std::vector<PageRun> written_;  // pages of values, given back if this is rolled back
};

}  // namespace splitring::kv
