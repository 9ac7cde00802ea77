#include "blkimage/memory_disk.h"
#include "kv/compiled_store.h"
#include "kv/fat_store.h"
#include "kv/path_store.h"
#include "kv/tar_store.h"
#include "kv/tree/store.h"
#include "tests/support/fs/fat_test_volume.h"
#include "tests/support/fs/tar_builder.h"
#include "tests/support/kv/compiled_bytes.h"
#include "tests/support/kv/memory_store.h"
#include "tests/support/kv/store_conformance.h"

namespace splitring::test {
namespace {

class TarMaker {
 public:
  explicit TarMaker(const StoreTree& tree) {
    TarBuilder builder;
    for (const std::string& directory : tree.dictionaries) builder.directory(directory);
    for (const auto& [key, bytes] : tree.values) builder.member(key, bytes);
    open_ = open_tar(builder.zero_blocks(2).bytes());
    store_ = std::make_unique<kv::TarStore>(*open_.tar, *open_.lane);
  }
  kv::ReadStore& store() { return *store_; }

 private:
  OpenTar open_;
  std::unique_ptr<kv::TarStore> store_;
};

class MemoryMaker {
 public:
  explicit MemoryMaker(const StoreTree& tree) : store_(contents(tree)) {}
  kv::ReadStore& store() { return store_; }

 private:
  static std::map<std::string, std::string> contents(const StoreTree& tree) {
    auto values = tree.values;
    for (const std::string& directory : tree.dictionaries) values[directory + "/"] = "";
    return values;
  }
  MemoryStore store_;
};

class CompiledMaker {
 public:
  explicit CompiledMaker(const StoreTree& tree)
      : image_(compiled_bytes(tree.values, tree.dictionaries)),
        store_(*kv::CompiledStore::load(std::as_bytes(std::span(image_)))) {}
  kv::ReadStore& store() { return *store_; }

 private:
  std::string image_;
  std::unique_ptr<kv::CompiledStore> store_;
};

// The last transaction is in memory and the ring, what was before it in the tree.
class PathMaker {
 public:
  explicit PathMaker(const StoreTree& tree)
      : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(16 << 20)))) {
    EXPECT_TRUE(kv::TreeStore::create(*disk_, {}));
    tree_store_ = std::move(*kv::TreeStore::open(*disk_, {.background = false}));
    session_ = std::move(*tree_store_->session());
    store_ = std::make_unique<kv::PathStore>(*session_, kv::kDefaultTree);
    for (const auto& [key, bytes] : tree.values) EXPECT_TRUE(store_->write(key, bytes));
    EXPECT_TRUE(session_->checkpoint());
    for (const std::string& name : tree.dictionaries) EXPECT_TRUE(store_->make_dictionary(name));
  }
  kv::ReadStore& store() { return *store_; }

 private:
  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<kv::TreeStore> tree_store_;
  std::unique_ptr<kv::Session> session_;
  std::unique_ptr<kv::PathStore> store_;
};

template <FatType kType>
class FatMaker {
 public:
  explicit FatMaker(const StoreTree& tree)
      : fat_(16 << 20, {.type = kType}),
        store_(std::move(*kv::FatStore::open(fat_.volume(), fat_.lane()))) {
    for (const auto& [key, bytes] : tree.values) EXPECT_TRUE(store_->write(key, bytes));
    for (const std::string& name : tree.dictionaries) EXPECT_TRUE(store_->make_dictionary(name));
  }
  kv::ReadStore& store() { return *store_; }

 private:
  FatTestVolume fat_;
  std::unique_ptr<kv::FatStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fat, StoreConformance, FatMaker<FatType::kFat16>);
INSTANTIATE_TYPED_TEST_SUITE_P(Exfat, StoreConformance, FatMaker<FatType::kExfat>);
INSTANTIATE_TYPED_TEST_SUITE_P(Compiled, StoreConformance, CompiledMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(Tar, StoreConformance, TarMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreConformance, MemoryMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(Path, StoreConformance, PathMaker);

}  // namespace
}  // namespace splitring::test
