// LevelDB and RocksDB: log-structured merge trees.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include "tools/bench/kv/engine.h"

namespace splitring::bench {
namespace {

constexpr int kBloomBits = 10;
constexpr size_t kMemtableBytes = size_t{64} << 20;

template <class Status>
void check(const Status& status) {
  must(status.ok(), status.ToString());
}

// The two have one ancestor and the same interface, in names of their own.
struct Level {
  using Database = leveldb::DB;
  using Batch = leveldb::WriteBatch;
  using WriteOptions = leveldb::WriteOptions;
  using ReadOptions = leveldb::ReadOptions;
  using Slice = leveldb::Slice;
  using Iterator = leveldb::Iterator;
};
struct Rocks {
  using Database = rocksdb::DB;
  using Batch = rocksdb::WriteBatch;
  using WriteOptions = rocksdb::WriteOptions;
  using ReadOptions = rocksdb::ReadOptions;
  using Slice = rocksdb::Slice;
  using Iterator = rocksdb::Iterator;
};

template <class Names>
class LsmClient final : public Client {
 public:
  explicit LsmClient(typename Names::Database& database) : database_(database) {}

  void commit(std::span<const Pair> pairs) override {
    typename Names::Batch batch;
    for (const Pair& pair : pairs) batch.Put(pair.key, pair.value);
    typename Names::WriteOptions durable;
    durable.sync = true;
    check(database_.Write(durable, &batch));
  }
  bool get(std::string_view key, std::string& value) override {
    return database_
        .Get(typename Names::ReadOptions(), typename Names::Slice(key.data(), key.size()), &value)
        .ok();
  }
  uint64_t scan() override {
    const std::unique_ptr<typename Names::Iterator> at(
        database_.NewIterator(typename Names::ReadOptions()));
    uint64_t keys = 0;
    uint64_t sum = 0;
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      keys++;
      sum += static_cast<uint8_t>(at->value()[0]);
    }
    must(sum != 1, "a scan");
    return keys;
  }

 private:
  typename Names::Database& database_;
};

class LevelEngine final : public Engine {
 public:
  explicit LevelEngine(const EngineOptions& options)
      : cache_(leveldb::NewLRUCache(options.cache_bytes)),
        filter_(leveldb::NewBloomFilterPolicy(kBloomBits)) {
    leveldb::Options how;
    how.create_if_missing = true;
    how.compression = leveldb::kNoCompression;
    how.block_cache = cache_.get();
    how.filter_policy = filter_.get();
    how.write_buffer_size = kMemtableBytes;
    leveldb::DB* database = nullptr;
    check(leveldb::DB::Open(how, options.folder + "/leveldb", &database));
    database_.reset(database);
  }
  std::unique_ptr<Client> client() override {
    return std::make_unique<LsmClient<Level>>(*database_);
  }

 private:
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> database_;
};

class RocksEngine final : public Engine {
 public:
  explicit RocksEngine(const EngineOptions& options) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(options.cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBits));
    rocksdb::Options how;
    how.create_if_missing = true;
    how.compression = rocksdb::kNoCompression;
    how.write_buffer_size = kMemtableBytes;
    how.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* database = nullptr;
    check(rocksdb::DB::Open(how, options.folder + "/rocksdb", &database));
    database_.reset(database);
  }
  std::unique_ptr<Client> client() override {
    return std::make_unique<LsmClient<Rocks>>(*database_);
  }

 private:
  std::unique_ptr<rocksdb::DB> database_;
};

}  // namespace

std::unique_ptr<Engine> open_leveldb(const EngineOptions& options) {
  return std::make_unique<LevelEngine>(options);
}
std::unique_ptr<Engine> open_rocksdb(const EngineOptions& options) {
  return std::make_unique<RocksEngine>(options);
}

}  // namespace splitring::bench
