// A tree of a tree store (kv/tree/store.h) as a store of paths: what the kiosk mounts and the
// command line shows.
//
//   PathStore store(*session, kDefaultTree);
//   store.write("site/index.html", "<p>hello");   store.list("site");
//
// Keys are stored as they are spelled, in their normal form; a dictionary that make_dictionary()
// made is an empty value whose key ends in '/'. Values carry the time of their last change. Other
// keys of the tree that are no normal form are not shown.
//
// One over a session shows the present and can be written to. One over a view shows that view:
// changes are kPermission. Both belong to the session's thread; a Value shows what it was opened
// on.
#pragma once

#include <memory>

#include "kv/tree/session.h"
#include "kv/write_store.h"

namespace splitring::kv {

class PathStore final : public WriteStore {
 public:
  // The session outlives the store.
  PathStore(Session& session, TreeId tree) : session_(&session), tree_(tree) {}
  // The view's session outlives the store.
  PathStore(std::shared_ptr<View> view, TreeId tree) : view_(std::move(view)), tree_(tree) {}

 private:
  class TreeValue;
  PathStore(Transaction& tx, TreeId tree) : tx_(&tx), tree_(tree) {}

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
  [[nodiscard]] bool in_tx() const override { return tx_ != nullptr; }

  // What to read from: the view, the transaction, or the present in a view of its own.
  struct Reading {
    std::shared_ptr<View> view;
    TreeReader* reader = nullptr;
  };
  Result<Reading> reading();

  // One of the three.
  Session* session_ = nullptr;
  std::shared_ptr<View> view_;
  Transaction* tx_ = nullptr;
  TreeId tree_;
};

}  // namespace splitring::kv
