#include "tools/bench/kv/engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "base/unique_fd.h"

namespace splitring::bench {
namespace {

// Appends and flushes, what came meanwhile together: what no store can beat that appends to a file.
class Log final : public Engine {
 public:
  explicit Log(const std::string& path)
      : fd_(::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)) {
    must(static_cast<bool>(fd_), "opening the log");
  }
  std::unique_ptr<Client> client() override;

  void commit(std::span<const Pair> pairs) {
    std::unique_lock lock(mutex_);
    for (const Pair& pair : pairs) pending_.append(pair.key).append(pair.value);
    const uint64_t mine = begun_ + 1;  // the next batch that somebody writes
    while (durable_ < mine) {
      if (begun_ != durable_) {
        changed_.wait(lock);
        continue;
      }
      begun_++;
      batch_.swap(pending_);
      pending_.clear();
      lock.unlock();
      must(::write(fd_.get(), batch_.data(), batch_.size()) == static_cast<ssize_t>(batch_.size()),
           "writing the log");
      must(::fdatasync(fd_.get()) == 0, "flushing the log");
      lock.lock();
      durable_++;
      changed_.notify_all();
    }
  }

 private:
  const UniqueFd fd_;
  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  std::string pending_;
  std::string batch_;
  uint64_t begun_ = 0;  // batches
  uint64_t durable_ = 0;
};

class LogClient final : public Client {
 public:
  explicit LogClient(Log& log) : log_(log) {}
  void commit(std::span<const Pair> pairs) override { log_.commit(pairs); }
  bool get(std::string_view /*key*/, std::string& /*value*/) override { return false; }
  uint64_t scan() override { return 0; }

 private:
  Log& log_;
};

std::unique_ptr<Client> Log::client() { return std::make_unique<LogClient>(*this); }

}  // namespace

uint64_t Client::get_many(std::span<const std::string> keys) {
  uint64_t found = 0;
  std::string value;
  for (const std::string& key : keys) found += get(key, value) ? 1 : 0;
  return found;
}

void must(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "kv_load: %s failed\n", what.c_str());
  std::exit(1);
}

std::unique_ptr<Engine> open_log(const EngineOptions& options) {
  return std::make_unique<Log>(options.folder + "/log");
}

std::unique_ptr<Engine> open_engine(std::string_view name, const EngineOptions& options) {
  if (name == "log") return open_log(options);
  if (name == "lmdb") return open_lmdb(options);
  if (name == "sqlite") return open_sqlite(options);
  if (name == "leveldb") return open_leveldb(options);
  if (name == "rocksdb") return open_rocksdb(options);
  if (name == "splitring") return open_splitring(options);
  if (name == "ring") return open_ring(options);
  return nullptr;
}

}  // namespace splitring::bench
