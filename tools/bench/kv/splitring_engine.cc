// Our own store: on a raw file that is opened past the page cache, or on a disk that our frontend
// has from a backend.
#include <filesystem>
#include <fstream>

#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tools/bench/kv/engine.h"
#include "tools/common/disks.h"

namespace splitring::bench {
namespace {

// Sparse: what is not written takes no space.
constexpr uint64_t kDiskBytes = uint64_t{10} << 30;
// A session for each thread of a run. Those for whom the backend has no ring share the last one.
constexpr uint32_t kLanes = 64;

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
  TreeEngine(const std::string& disk, uint64_t cache_bytes)
      : disks_({}, 1), disk_(must_have(disks_.open_for_threads(disk, false, kLanes), "the disk")) {
    const auto made = kv::TreeStore::create(*disk_, {});
    must(made || made.error().code == Errc::kExists, "making a store");
    store_ =
        must_have(kv::TreeStore::open(*disk_, {.cache_bytes = cache_bytes}), "opening the store");
  }
  std::unique_ptr<Client> client() override {
    return std::make_unique<TreeClient>(must_have(store_->session(), "a session"));
  }
  uint64_t used_bytes() override {
    const kv::StoreStat stat = store_->stat();
    return (stat.leaf + stat.inner + stat.value + stat.map + stat.ring) * 4096;
  }

 private:
  tools::Disks disks_;
  std::unique_ptr<BlockDevice> disk_;
  std::unique_ptr<kv::TreeStore> store_;
};

}  // namespace

std::unique_ptr<Engine> open_splitring(const EngineOptions& options) {
  const std::string path = options.folder + "/store.img";
  if (!std::filesystem::exists(path)) {
    const std::ofstream made(path);
    std::filesystem::resize_file(path, kDiskBytes);
  }
  return std::make_unique<TreeEngine>("raw:" + path + "?direct=on", options.cache_bytes);
}

std::unique_ptr<Engine> open_ring(const EngineOptions& options) {
  return std::make_unique<TreeEngine>("vbd:xvda", options.cache_bytes);
}

}  // namespace splitring::bench
