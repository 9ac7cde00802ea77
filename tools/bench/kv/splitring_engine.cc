// Our own store, on a raw file that is opened past the page cache.
#include <filesystem>
#include <fstream>

#include "blkimage/disk_uri.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tools/bench/kv/engine.h"

namespace splitring::bench {
namespace {

// Sparse: what is not written takes no space.
constexpr uint64_t kDiskBytes = uint64_t{10} << 30;

template <class T>
T must_have(Result<T> result, const std::string& what) {
  must(result.has_value(), what + (result ? "" : ": " + result.error().what));
  return std::move(*result);
}
void must_be(const Result<>& done, const std::string& what) {
  must(done.has_value(), what + (done ? "" : ": " + done.error().what));
}

class TreeClient final : public Client {
 public:
  explicit TreeClient(std::unique_ptr<kv::Session> session) : session_(std::move(session)) {}

  void commit(std::span<const Pair> pairs) override {
    must_be(session_->with_tx([&](kv::Transaction& tx) -> Result<> {
      for (const Pair& pair : pairs) TRY_VOID(tx.put(kv::kDefaultTree, pair.key, pair.value));
      return {};
    }),
            "a commit");
  }
  bool get(std::string_view key, std::string& value) override {
    return must_have(session_->get(kv::kDefaultTree, key, value), "a get");
  }
  uint64_t get_many(std::span<const std::string> keys) override {
    kv::View view = must_have(session_->view(), "a view");
    uint64_t found = 0;
    for (const auto& value : must_have(view.get_many(kv::kDefaultTree, keys), "a multi-get"))
      found += value ? 1 : 0;
    return found;
  }
  uint64_t scan() override {
    kv::View view = must_have(session_->view(), "a view");
    kv::TreeCursor cursor = view.cursor(kv::kDefaultTree);
    uint64_t keys = 0;
    uint64_t sum = 0;
    for (bool more = must_have(cursor.first(), "a scan"); more;
         more = must_have(cursor.next(), "a scan")) {
      keys++;
      sum += static_cast<uint64_t>(cursor.payload().back());
    }
    must(sum != 1, "a scan");  // so that the values are looked at
    return keys;
  }

 private:
  std::unique_ptr<kv::Session> session_;
};

class TreeEngine final : public Engine {
 public:
  explicit TreeEngine(const EngineOptions& options) {
    const std::string path = options.folder + "/store.img";
    const bool is_new = !std::filesystem::exists(path);
    if (is_new) {
      const std::ofstream made(path);
      std::filesystem::resize_file(path, kDiskBytes);
    }
    disk_ = must_have(DiskSchemes::images().open("raw:" + path + "?direct=on", {}), "the disk");
    if (is_new) must_be(kv::TreeStore::create(*disk_, {}), "making a store");
    store_ = must_have(kv::TreeStore::open(*disk_, {.cache_bytes = options.cache_bytes}),
                       "opening the store");
  }
  std::unique_ptr<Client> client() override {
    return std::make_unique<TreeClient>(must_have(store_->session(), "a session"));
  }
  uint64_t used_bytes() override {
    const kv::StoreStat stat = store_->stat();
    return (stat.leaf + stat.inner + stat.value + stat.map + stat.ring) * 4096;
  }

 private:
  std::unique_ptr<BlockDevice> disk_;
  std::unique_ptr<kv::TreeStore> store_;
};

}  // namespace

std::unique_ptr<Engine> open_splitring(const EngineOptions& options) {
  return std::make_unique<TreeEngine>(options);
}

}  // namespace splitring::bench
