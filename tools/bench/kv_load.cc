// One key-value store at work: its phases one after another, each a JSON line on standard output.
//
//   kv_load warm ENGINE FOLDER KEYS SECONDS   loads KEYS, then every other work for SECONDS each
//   kv_load cold ENGINE FOLDER KEYS GETS      on what that left, which is in no cache: opens it,
//                                             and asks for so many keys
//
// Keys: 16 bytes, 0 to KEYS - 1 scattered by a fixed function. Values: 100 bytes that do not
// compress. What is random is so from a fixed seed: all engines get the same.
#include <sys/stat.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "tools/bench/kv/engine.h"
#include "tools/bench/load_report.h"

namespace splitring::bench {
namespace {

constexpr size_t kValueBytes = 100;
constexpr size_t kBatch = 1000;
constexpr unsigned kWriters = 16;
constexpr unsigned kColdReaders = 32;
constexpr uint64_t kColdCacheBytes = uint64_t{16} << 20;

// SplitMix64's finalizer: scatters, and no two numbers onto one.
uint64_t scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::string key_of(uint64_t number) {
  std::string key(16, '\0');
  std::snprintf(key.data(), key.size() + 1, "%016llx",
                static_cast<unsigned long long>(scatter(number)));
  return key;
}

// One thread's choice of keys and values.
class Choice {
 public:
  Choice(uint64_t keys, uint64_t seed) : random_(seed), keys_(keys), noise_(1 << 16, '\0') {
    for (char& c : noise_) c = static_cast<char>(random_());
  }
  uint64_t uniform() { return random_() % keys_; }
  // Of exponent about 1: half of the draws are of the square root of all keys.
  uint64_t zipfian() {
    const double u = std::uniform_real_distribution<double>(0, 1)(random_);
    const auto rank = static_cast<uint64_t>(std::pow(static_cast<double>(keys_), u)) - 1;
    return scatter(rank) % keys_;
  }
  Pair pair(uint64_t number) {
    return {key_of(number), noise_.substr(random_() % (noise_.size() - kValueBytes), kValueBytes)};
  }
  void fill(std::vector<Pair>& batch) {
    for (Pair& pair : batch) pair = this->pair(uniform());
  }

 private:
  std::mt19937_64 random_;
  uint64_t keys_;
  std::string noise_;
};

void report(const char* work, double value, const char* unit) {
  std::printf("{\"work\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", work, value, unit);
  std::fflush(stdout);
}

double seconds_since(int64_t begin_ns) { return static_cast<double>(now_ns() - begin_ns) / 1e9; }

// On the disk, in megabytes: what the store says it uses, or what the files take.
double used_megabytes(Engine& engine, const std::string& folder) {
  uint64_t bytes = engine.used_bytes();
  if (bytes != 0) return static_cast<double>(bytes) / 1e6;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat status {};
    if (entry.is_regular_file() && ::stat(entry.path().c_str(), &status) == 0)
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  return static_cast<double>(bytes) / 1e6;
}

// Runs `step`, which says how much it did, on so many threads for so long.
using Step = std::function<uint64_t(Client& client, Choice& choice)>;
double rate_of(Engine& engine, unsigned threads, uint64_t keys, double seconds, const Step& step) {
  std::vector<std::unique_ptr<Client>> clients;
  for (unsigned i = 0; i < threads; i++) clients.push_back(engine.client());
  std::atomic<uint64_t> done{0};
  const int64_t begin = now_ns();
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; i++)
    running.emplace_back([&, i] {
      Choice choice(keys, 1000 + i);
      uint64_t mine = 0;
      while (seconds_since(begin) < seconds) mine += step(*clients[i], choice);
      done += mine;
    });
  for (std::thread& thread : running) thread.join();
  return static_cast<double>(done) / seconds_since(begin);
}

void load(Engine& engine, uint64_t keys) {
  const auto client = engine.client();
  Choice choice(keys, 1);
  std::vector<Pair> batch;
  const int64_t begin = now_ns();
  for (uint64_t next = 0; next < keys;) {
    batch.clear();
    for (size_t i = 0; i < kBatch && next < keys; i++) batch.push_back(choice.pair(next++));
    client->commit(batch);
  }
  report("load, 1000 a commit", static_cast<double>(keys) / seconds_since(begin), "keys/s");
}

void put(Engine& engine, uint64_t keys, double seconds) {
  const Step one = [](Client& client, Choice& choice) {
    const Pair pair = choice.pair(choice.uniform());
    client.commit({&pair, 1});
    return uint64_t{1};
  };
  report("durable put, 1 thread", rate_of(engine, 1, keys, seconds, one), "keys/s");
  report("durable put, 16 threads", rate_of(engine, kWriters, keys, seconds, one), "keys/s");
  report("durable put, zipfian",
         rate_of(engine, 1, keys, seconds,
                 [](Client& client, Choice& choice) {
                   const Pair pair = choice.pair(choice.zipfian());
                   client.commit({&pair, 1});
                   return uint64_t{1};
                 }),
         "keys/s");
  std::vector<Pair> batch(kBatch);
  report("durable put, 1000 a commit",
         rate_of(engine, 1, keys, seconds,
                 [&](Client& client, Choice& choice) {
                   choice.fill(batch);
                   client.commit(batch);
                   return batch.size();
                 }),
         "keys/s");
}

void get(Engine& engine, uint64_t keys, double seconds) {
  const auto getting = [](uint64_t (Choice::*choose)()) {
    return [choose](Client& client, Choice& choice) {
      std::string value;
      for (int i = 0; i < 100; i++)
        must(client.get(key_of((choice.*choose)()), value), "finding a key");
      return uint64_t{100};
    };
  };
  const unsigned cpus = std::max(2U, std::thread::hardware_concurrency());
  (void)rate_of(engine, 1, keys, seconds, getting(&Choice::uniform));  // into the cache
  report("get, cached, 1 thread", rate_of(engine, 1, keys, seconds, getting(&Choice::uniform)),
         "keys/s");
  report("get, cached, zipfian", rate_of(engine, 1, keys, seconds, getting(&Choice::zipfian)),
         "keys/s");
  report("get, cached, a thread a CPU",
         rate_of(engine, cpus, keys, seconds, getting(&Choice::uniform)), "keys/s");
  const auto client = engine.client();
  const int64_t begin = now_ns();
  const uint64_t found = client->scan();
  must(found == keys, "scanning all keys");
  report("scan", static_cast<double>(found) / seconds_since(begin), "keys/s");
}

// Every key ten times, in other orders.
void overwrite(Engine& engine, uint64_t keys) {
  const auto client = engine.client();
  Choice choice(keys, 2);
  std::vector<Pair> batch;
  for (uint64_t round = 1; round <= 10; round++)
    for (uint64_t next = 0; next < keys;) {
      batch.clear();
      for (size_t i = 0; i < kBatch && next < keys; i++, next++)
        batch.push_back(choice.pair((next * 7919 + round) % keys));
      client->commit(batch);
    }
  report("space after overwriting", static_cast<double>(engine.used_bytes()) / 1e6, "MB");
}

int warm(const char* name, const EngineOptions& options, uint64_t keys, double seconds) {
  const auto engine = open_engine(name, options);
  must(engine != nullptr, std::string("knowing an engine called ") + name);
  load(*engine, keys);
  report("space after the load", used_megabytes(*engine, options.folder), "MB");
  put(*engine, keys, seconds);
  if (std::string_view(name) == "log") return 0;
  get(*engine, keys, seconds);
  if (engine->used_bytes() != 0) overwrite(*engine, keys);
  report("memory at most", static_cast<double>(peak_kib()) / 1e3, "MB");
  return 0;
}

int cold(const char* name, EngineOptions options, uint64_t keys, uint64_t gets) {
  options.cache_bytes = kColdCacheBytes;
  const int64_t begin = now_ns();
  const auto engine = open_engine(name, options);
  must(engine != nullptr, std::string("knowing an engine called ") + name);
  const auto client = engine->client();
  report("open", seconds_since(begin) * 1e3, "ms");
  Choice choice(keys, 77);
  std::vector<std::string> wanted;
  for (uint64_t i = 0; i < gets; i++) wanted.push_back(key_of(choice.uniform()));

  std::atomic<uint64_t> found{0};
  int64_t start = now_ns();
  std::vector<std::thread> readers;
  const size_t share = wanted.size() / 2 / kColdReaders;
  for (unsigned i = 0; i < kColdReaders; i++)
    readers.emplace_back([&, i] {
      const auto reader = engine->client();
      std::string value;
      for (size_t k = i * share; k < (i + 1) * share; k++)
        found += reader->get(wanted[k], value) ? 1 : 0;
    });
  for (std::thread& reader : readers) reader.join();
  must(found == share * kColdReaders, "finding keys");
  report("get, not cached, 32 readers", static_cast<double>(found) / seconds_since(start),
         "keys/s");
  const auto rest = std::span(wanted).subspan(wanted.size() / 2);
  start = now_ns();
  must(client->get_many(rest) == rest.size(), "finding keys");
  report("get, not cached, one multi-get", static_cast<double>(rest.size()) / seconds_since(start),
         "keys/s");
  report("memory at most, cache of 16 MiB", static_cast<double>(peak_kib()) / 1e3, "MB");
  return 0;
}

}  // namespace
}  // namespace splitring::bench

int main(int argc, char** argv) {
  using namespace splitring::bench;
  must(argc == 6, "the command line: warm|cold ENGINE FOLDER KEYS SECONDS|GETS, which");
  const EngineOptions options{.folder = argv[3]};
  const uint64_t keys = std::strtoull(argv[4], nullptr, 10);
  if (std::string_view(argv[1]) == "cold")
    return cold(argv[2], options, keys, std::strtoull(argv[5], nullptr, 10));
  return warm(argv[2], options, keys, std::strtod(argv[5], nullptr));
}
