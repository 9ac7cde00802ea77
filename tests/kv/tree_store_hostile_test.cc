// Stores whose pages are whole by their hashes and lie: nothing crashes or goes on for ever, and
// the page is named.
#include <gtest/gtest.h>

#include <algorithm>

#include "blkimage/memory_disk.h"
#include "kv/path_store.h"
#include "kv/tree/check.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Pointer;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

// Two of them fill a leaf.
std::string key_in(const char* folder, int i) {
  return std::string(folder) + std::to_string(i) + std::string(900, 'a');
}

// A closed store of one inner page and some leaves, whose pages can be written anew with the
// hashes above them made to fit.
class Liar {
 public:
  Liar() : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(uint64_t{4} << 20)))) {
    EXPECT_TRUE(TreeStore::create(*disk_, {}));
    open();
    for (const char* folder : {"k/", "m/", "z/"})
      for (int i = 0; i < 4; i++) EXPECT_TRUE(put(key_in(folder, i)));
    session.reset();
    EXPECT_TRUE(store->close());
    store.reset();
    lane_ = std::move(*disk_->open_queue({}));
    const auto zero = load(0);
    const auto one = load(1);
    super_page_ = super_of(zero).generation > super_of(one).generation ? 0 : 1;
    const uint64_t catalogue = super_of(load(super_page_)).catalogue.page;
    const auto bytes = load(catalogue);
    const auto entry = kv::PageView(bytes.data()).payload(0);
    root_ = kv::load_pointer(entry.data() + 32);
  }

  void open() {
    session.reset();
    store.reset();
    lane_.reset();
    store = std::move(*TreeStore::open(*disk_, {.background = false}));
    session = std::move(*store->session());
  }
  Result<> put(const std::string& key) {
    return session->with_tx(
        [&](Transaction& tx) { return tx.put(kDefaultTree, key, std::string(900, 'v')); });
  }
  // The child of the root that holds a key first.
  Pointer leaf_of(std::string_view user_key) {
    const auto bytes = load(root_.page);
    const kv::PageView view(bytes.data());
    EXPECT_EQ(view.level(), 1U);
    return view.child(view.child_of(in_tree(user_key)));
  }
  void replace_leaf(const Pointer& leaf, std::string_view user_key) {
    std::vector<std::byte> page(kPageSize);
    const std::string key = in_tree(user_key);
    const std::string payload(10, '\0');
    const kv::PageEntry lie{.key = key, .payload = kv::bytes_of(payload), .child = {}};
    kv::build_page(page.data(), kv::kLeafPage, 0, leaf.page, leaf.birth, std::span(&lie, 1));
    save(leaf.page, page);
    change_root(leaf, {leaf.page, leaf.birth, kv::hash_of(page)});
  }
  void change_root(const Pointer& from, const Pointer& to) {
    auto root = load(root_.page);
    replace(root, from, to);
    save(root_.page, root);
    const uint64_t catalogue_page = super_of(load(super_page_)).catalogue.page;
    auto catalogue = load(catalogue_page);
    const kv::Hash before = kv::hash_of(catalogue);
    replace(catalogue, root_, {root_.page, root_.birth, kv::hash_of(root)});
    save(catalogue_page, catalogue);
    auto super = load(super_page_);
    const kv::Hash after = kv::hash_of(catalogue);
    kv::DiskSuperblock header = super_of(super);
    EXPECT_EQ(header.catalogue.hash_low, before.low);
    header.catalogue.hash_low = after.low;
    header.catalogue.hash_high = after.high;
    const kv::Hash whole = kv::hash_of(
        std::as_bytes(std::span(&header, 1)).first(offsetof(kv::DiskSuperblock, hash_low)));
    header.hash_low = whole.low;
    header.hash_high = whole.high;
    std::memcpy(super.data(), &header, sizeof header);
    save(super_page_, super);
  }

  std::unique_ptr<TreeStore> store;
  std::unique_ptr<Session> session;

 private:
  static std::string in_tree(std::string_view user_key) {
    std::string key;
    kv::append_be32(key, static_cast<uint32_t>(kDefaultTree));
    return key += user_key;
  }
  static kv::DiskSuperblock super_of(const std::vector<std::byte>& bytes) {
    kv::DiskSuperblock super;
    std::memcpy(&super, bytes.data(), sizeof super);
    return super;
  }
  static void replace(std::vector<std::byte>& in, const Pointer& from, const Pointer& to) {
    std::byte old[sizeof(kv::DiskPointer)];
    kv::store_pointer(old, from);
    const auto at = std::search(in.begin(), in.end(), std::begin(old), std::end(old));
    ASSERT_NE(at, in.end());
    kv::store_pointer(&*at, to);
  }
  std::vector<std::byte> load(uint64_t page) {
    std::vector<std::byte> bytes(kPageSize);
    EXPECT_TRUE(lane_->read({page * kSectorsPerPage}, bytes));
    return bytes;
  }
  void save(uint64_t page, std::vector<std::byte>& bytes) {
    EXPECT_TRUE(lane_->write({page * kSectorsPerPage}, bytes));
  }

  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<BlockQueue> lane_;
  uint64_t super_page_ = 0;
  Pointer root_;
};

void expect_named(const Result<>& result, const Pointer& page) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kInvalid) << result.error().what;
  EXPECT_NE(result.error().what.find("page " + std::to_string(page.page) + " "), std::string::npos)
      << result.error().what;
}

TEST(TreeStoreHostile, ALeafWithKeysOfAnotherIsRefusedByNameWhenItIsToBeChanged) {
  const std::string last = key_in("k/", 3);
  for (const char* lie : {"b", "y"}) {
    Liar liar;
    const Pointer leaf = liar.leaf_of(last);
    liar.replace_leaf(leaf, lie);
    liar.open();
    ASSERT_TRUE(liar.put(last + "x"));
    expect_named(liar.session->checkpoint(), leaf);
    const auto report = kv::StoreCheck::run(*liar.store, *liar.session);
    ASSERT_TRUE(report);
    ASSERT_FALSE(report->clean());
    EXPECT_NE(report->problems.front().find("page " + std::to_string(leaf.page) + " "),
              std::string::npos)
        << report->problems.front();
    EXPECT_GT(*liar.session->view()->count(kDefaultTree, {}), 5U);
  }
}

TEST(TreeStoreHostile, AListOfKeysThatAreOutOfOrderEnds) {
  Liar liar;
  liar.replace_leaf(liar.leaf_of(key_in("z/", 0)), "b/x");
  liar.open();
  kv::PathStore paths(*liar.session, kDefaultTree);
  const auto listed = paths.list("");
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Errc::kInvalid) << listed.error().what;
}

TEST(TreeStoreHostile, APageThatATreeNamesTwiceIsNotFollowedTwice) {
  Liar liar;
  const Pointer twice = liar.leaf_of(key_in("k/", 0));
  liar.change_root(liar.leaf_of(key_in("z/", 3)), twice);
  liar.open();
  ASSERT_TRUE(liar.session->create_snapshot("s"));
  ASSERT_TRUE(liar.put("m/b"));
  ASSERT_TRUE(liar.session->checkpoint());
  expect_named(liar.session->remove_snapshot("s"), twice);
  const auto report = kv::StoreCheck::run(*liar.store, *liar.session);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->clean());
  EXPECT_NE(report->problems.front().find("page " + std::to_string(twice.page) + " "),
            std::string::npos)
      << report->problems.front();
}

}  // namespace
}  // namespace splitring::test
