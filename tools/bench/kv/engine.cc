#include "tools/bench/kv/engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/unique_fd.h"

namespace splitring::bench {
namespace {

// Appends and flushes: what no store can beat.
class LogClient final : public Client {
 public:
  explicit LogClient(int fd) : fd_(fd) {}
  void commit(std::span<const Pair> pairs) override {
    std::string batch;
    for (const Pair& pair : pairs) batch.append(pair.key).append(pair.value);
    must(::write(fd_, batch.data(), batch.size()) == static_cast<ssize_t>(batch.size()),
         "writing the log");
    must(::fdatasync(fd_) == 0, "flushing the log");
  }
  bool get(std::string_view /*key*/, std::string& /*value*/) override { return false; }
  uint64_t scan() override { return 0; }

 private:
  const int fd_;
};

class Log final : public Engine {
 public:
  explicit Log(const std::string& path)
      : fd_(::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)) {
    must(static_cast<bool>(fd_), "opening the log");
  }
  std::unique_ptr<Client> client() override { return std::make_unique<LogClient>(fd_.get()); }

 private:
  const UniqueFd fd_;
};

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
  return nullptr;
}

}  // namespace splitring::bench
