#include "kv/compiled_store.h"
#include "kv/tar_store.h"
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

INSTANTIATE_TYPED_TEST_SUITE_P(Compiled, StoreConformance, CompiledMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(Tar, StoreConformance, TarMaker);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreConformance, MemoryMaker);

}  // namespace
}  // namespace splitring::test
