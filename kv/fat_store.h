// A directory of a FAT or exFAT volume as a store: files are values, directories dictionaries.
//
// A value is written under a name that is no key, and renamed when it is durable: whoever looks,
// after a power cut too, finds the old bytes or the new ones, and a Value keeps those that it was
// opened on. A transaction may read as it likes and then change one key; a second change, or a look
// behind the first, is kUnsupported: FAT cannot promise more.
//
// Names are keys as they stand; a byte that FAT takes in no name (and '%') is written as %XX. Files
// whose names spell a byte so that need not be are not shown. Keys answer in any case, as names do.
// A dictionary that came with a value carries the archive mark, and goes with its last value.
//
// The store, with its values, belongs to the lane's thread; others may have stores of their own on
// the volume.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "fs/fat/fat_volume.h"
#include "kv/write_store.h"

namespace splitring::kv {

class FatStore final : public WriteStore {
 public:
  // All outlive the store; `root` is a directory that stays referred to. Removes what writes that a
  // power cut ended have left there, whoever else is at work on the volume.
  static Result<std::unique_ptr<FatStore>> open(FatVolume& volume, BlockQueue& lane,
                                                FatNode root = kFatRoot);
  using WriteStore::open;

 private:
  class FatValue;
  class Held;  // a node with the reference that is given back
  using Change = std::function<Result<>()>;
  FatStore(FatVolume& volume, BlockQueue& lane, FatNode root)
      : volume_(volume), lane_(lane), root_(root) {}
  FatStore(const FatStore& outside, Change& staged)
      : volume_(outside.volume_), lane_(outside.lane_), root_(outside.root_), staged_(&staged) {}

  Result<std::optional<Entry>> do_find(const std::string& key) override;
  Result<std::vector<Child>> do_list(const std::string& key) override;
  Result<std::unique_ptr<Value>> do_open(const std::string& key) override;

  Result<> do_write(const std::string& key, std::string_view value) override;
  Result<> do_remove(const std::string& key, Kind kind) override;
  Result<> do_rename(const std::string& from, const std::string& to, Kind kind) override;
  Result<> do_set_partial(const std::string& key, uint64_t offset, std::string_view bytes) override;
  Result<> do_allocate(const std::string& key, uint64_t size) override;
  Result<> do_make_dictionary(const std::string& key) override;
  Result<> do_write_stream(const std::string& key, const Source& next, const Check& check) override;
  Result<> do_with_tx(const Body& body) override;
  [[nodiscard]] bool in_tx() const override { return staged_ != nullptr; }

  Result<> stage(Change change);
  Result<> may_look() const;
  Result<> clear_unfinished();
  Result<Held> find_node(std::string_view key);
  // The dictionary that a key is in, with those above it, made where they are missing.
  Result<Held> parent_of(const std::string& key);
  // Fills a new file under a name that is no key; that name.
  using Fill = std::function<Result<>(FatNode file)>;
  Result<std::string> write_aside(const Fill& fill);
  Result<> put_in_place(const std::string& aside, const std::string& key);
  Result<> remove_tree(FatNode directory, const std::string& name);
  void prune(const std::string& key);

  FatVolume& volume_;
  BlockQueue& lane_;
  const FatNode root_;
  Change* const staged_ = nullptr;  // of a transaction: what it is to do in the end
};

}  // namespace splitring::kv
