// LMDB and SQLite: B-trees in a file.
#include <lmdb.h>
#include <sqlite3.h>

#include <mutex>

#include "tools/bench/kv/engine.h"

namespace splitring::bench {
namespace {

constexpr size_t kMapBytes = size_t{4} << 30;

MDB_val lmdb_value(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

class LmdbClient final : public Client {
 public:
  LmdbClient(MDB_env* environment, MDB_dbi database)
      : environment_(environment), database_(database) {}
  ~LmdbClient() override {
    if (reading_ != nullptr) mdb_txn_abort(reading_);
  }
  LmdbClient(const LmdbClient&) = delete;
  LmdbClient& operator=(const LmdbClient&) = delete;

  void commit(std::span<const Pair> pairs) override {
    MDB_txn* tx = nullptr;
    must(mdb_txn_begin(environment_, nullptr, 0, &tx) == 0, "an LMDB transaction");
    for (const Pair& pair : pairs) {
      MDB_val key = lmdb_value(pair.key);
      MDB_val value = lmdb_value(pair.value);
      must(mdb_put(tx, database_, &key, &value, 0) == 0, "an LMDB put");
    }
    must(mdb_txn_commit(tx) == 0, "an LMDB commit");
  }
  bool get(std::string_view key, std::string& value) override {
    begin_reading();
    MDB_val at = lmdb_value(key);
    MDB_val found;
    if (mdb_get(reading_, database_, &at, &found) != 0) return false;
    value.assign(static_cast<const char*>(found.mv_data), found.mv_size);
    return true;
  }
  uint64_t scan() override {
    begin_reading();
    MDB_cursor* cursor = nullptr;
    must(mdb_cursor_open(reading_, database_, &cursor) == 0, "an LMDB cursor");
    MDB_val key;
    MDB_val value;
    uint64_t keys = 0;
    uint64_t sum = 0;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
      keys++;
      sum += *static_cast<const uint8_t*>(value.mv_data);
    }
    mdb_cursor_close(cursor);
    must(sum != 1, "a scan");
    return keys;
  }

 private:
  // Each read sees the present.
  void begin_reading() {
    if (reading_ == nullptr) {
      must(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reading_) == 0, "an LMDB reader");
      return;
    }
    mdb_txn_reset(reading_);
    must(mdb_txn_renew(reading_) == 0, "an LMDB reader");
  }

  MDB_env* const environment_;
  const MDB_dbi database_;
  MDB_txn* reading_ = nullptr;
};

class LmdbEngine final : public Engine {
 public:
  explicit LmdbEngine(const EngineOptions& options) {
    must(mdb_env_create(&environment_) == 0, "LMDB");
    mdb_env_set_mapsize(environment_, kMapBytes);
    // Without read-ahead, which would read what nobody asked for.
    const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD;
    must(mdb_env_open(environment_, (options.folder + "/lmdb").c_str(), flags, 0600) == 0,
         "opening LMDB");
    MDB_txn* tx = nullptr;
    must(mdb_txn_begin(environment_, nullptr, 0, &tx) == 0, "LMDB");
    must(mdb_dbi_open(tx, nullptr, 0, &database_) == 0, "LMDB");
    must(mdb_txn_commit(tx) == 0, "LMDB");
  }
  ~LmdbEngine() override { mdb_env_close(environment_); }
  LmdbEngine(const LmdbEngine&) = delete;
  LmdbEngine& operator=(const LmdbEngine&) = delete;
  std::unique_ptr<Client> client() override {
    return std::make_unique<LmdbClient>(environment_, database_);
  }

 private:
  MDB_env* environment_ = nullptr;
  MDB_dbi database_ = 0;
};

class SqliteClient final : public Client {
 public:
  SqliteClient(const EngineOptions& options, std::mutex& writers) : writers_(writers) {
    must(sqlite3_open((options.folder + "/sqlite").c_str(), &database_) == SQLITE_OK, "SQLite");
    sqlite3_busy_timeout(database_, 60'000);
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA synchronous=FULL");
    run("PRAGMA mmap_size=1073741824");
    run("PRAGMA cache_size=-" + std::to_string(options.cache_bytes / 1024));
    run("CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
    put_ = prepare("INSERT OR REPLACE INTO kv VALUES(?,?)");
    get_ = prepare("SELECT v FROM kv WHERE k=?");
    scan_ = prepare("SELECT k, v FROM kv ORDER BY k");
    begin_ = prepare("BEGIN IMMEDIATE");
    commit_ = prepare("COMMIT");
  }
  ~SqliteClient() override {
    for (sqlite3_stmt* statement : {put_, get_, scan_, begin_, commit_})
      sqlite3_finalize(statement);
    sqlite3_close(database_);
  }
  SqliteClient(const SqliteClient&) = delete;
  SqliteClient& operator=(const SqliteClient&) = delete;

  void commit(std::span<const Pair> pairs) override {
    // Its own waiting polls; this one does not.
    const std::lock_guard lock(writers_);
    step(begin_);
    for (const Pair& pair : pairs) {
      bind(put_, 1, pair.key);
      bind(put_, 2, pair.value);
      step(put_);
    }
    step(commit_);
  }
  bool get(std::string_view key, std::string& value) override {
    bind(get_, 1, key);
    const bool found = sqlite3_step(get_) == SQLITE_ROW;
    if (found)
      value.assign(static_cast<const char*>(sqlite3_column_blob(get_, 0)),
                   static_cast<size_t>(sqlite3_column_bytes(get_, 0)));
    sqlite3_reset(get_);
    return found;
  }
  uint64_t scan() override {
    uint64_t keys = 0;
    uint64_t sum = 0;
    while (sqlite3_step(scan_) == SQLITE_ROW) {
      keys++;
      sum += *static_cast<const uint8_t*>(sqlite3_column_blob(scan_, 1));
    }
    sqlite3_reset(scan_);
    must(sum != 1, "a scan");
    return keys;
  }

 private:
  void run(const std::string& text) {
    must(sqlite3_exec(database_, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK, text);
  }
  sqlite3_stmt* prepare(const char* text) {
    sqlite3_stmt* made = nullptr;
    must(sqlite3_prepare_v2(database_, text, -1, &made, nullptr) == SQLITE_OK, text);
    return made;
  }
  static void bind(sqlite3_stmt* statement, int at, std::string_view bytes) {
    sqlite3_bind_blob(statement, at, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
  }
  static void step(sqlite3_stmt* statement) {
    const int result = sqlite3_step(statement);
    sqlite3_reset(statement);
    must(result == SQLITE_DONE, "an SQLite statement");
  }

  std::mutex& writers_;
  sqlite3* database_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* get_ = nullptr;
  sqlite3_stmt* scan_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

class SqliteEngine final : public Engine {
 public:
  explicit SqliteEngine(EngineOptions options) : options_(std::move(options)) {}
  std::unique_ptr<Client> client() override {
    return std::make_unique<SqliteClient>(options_, writers_);
  }

 private:
  const EngineOptions options_;
  std::mutex writers_;
};

}  // namespace

std::unique_ptr<Engine> open_lmdb(const EngineOptions& options) {
  return std::make_unique<LmdbEngine>(options);
}
std::unique_ptr<Engine> open_sqlite(const EngineOptions& options) {
  return std::make_unique<SqliteEngine>(options);
}

}  // namespace splitring::bench
