// A key-value store that the benchmark loads and asks, whichever it is.
//
// Made for a folder of its own on the disk that all are compared on. Failures end the program with
// what was wrong: a benchmark has no use for half an answer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace splitring::bench {

struct Pair {
  std::string key;
  std::string value;
};

// One thread's way in.
class Client {
 public:
  virtual ~Client() = default;
  // One transaction, durable when it returns.
  virtual void commit(std::span<const Pair> pairs) = 0;
  virtual bool get(std::string_view key, std::string& value) = 0;
  // Reads them all, however the engine does that best; the number of those that are there.
  virtual uint64_t get_many(std::span<const std::string> keys);
  // Every key and a byte of its value, in order; their number.
  virtual uint64_t scan() = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // The engine outlives it.
  virtual std::unique_ptr<Client> client() = 0;
  // Space that its data takes on the disk; 0: by the files of its folder.
  virtual uint64_t used_bytes() { return 0; }
};

struct EngineOptions {
  std::string folder;  // is there
  uint64_t cache_bytes = uint64_t{256} << 20;
};

// log (a bare one: the ceiling of durable commits; it answers no reads), lmdb, sqlite, leveldb,
// rocksdb, splitring; ring: splitring on the disk xvda of the host that the environment names.
// Null: no such name. What the folder, or that disk, holds is opened if there is something.
std::unique_ptr<Engine> open_engine(std::string_view name, const EngineOptions& options);

std::unique_ptr<Engine> open_log(const EngineOptions& options);
std::unique_ptr<Engine> open_lmdb(const EngineOptions& options);
std::unique_ptr<Engine> open_sqlite(const EngineOptions& options);
std::unique_ptr<Engine> open_leveldb(const EngineOptions& options);
std::unique_ptr<Engine> open_rocksdb(const EngineOptions& options);
std::unique_ptr<Engine> open_splitring(const EngineOptions& options);
std::unique_ptr<Engine> open_ring(const EngineOptions& options);

// Ends the program unless it holds.
void must(bool holds, const std::string& what);

}  // namespace splitring::bench
