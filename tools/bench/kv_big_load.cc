// A store of ours that is full, and as large as disks are: how long its open takes after a kill,
// and how much memory it needs. Each phase says a JSON line on standard output.
//
//   kv_big_load fill DISK KEYS            makes a store, loads KEYS in order, then overwrites at
//                                         random, past `overwritten`, until it is killed
//   kv_big_load open DISK KEYS CACHE_MIB  opens it with such a cache, reads at random and a part in
//                                         order, compares what it reads
//
// Keys: 16 bytes. Values: 1000, a function of the key.
#include <random>

#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tools/bench/load_report.h"
#include "tools/common/disks.h"

namespace splitring::bench {
namespace {

constexpr size_t kValueBytes = 1000;
constexpr uint64_t kBatch = 1000;
constexpr uint64_t kOverwritten = 100'000;  // keys, until it says so
constexpr uint64_t kReads = 20'000;
constexpr uint64_t kScanned = 500'000;

void report(const char* work, double value, const char* unit) {
  std::printf("{\"work\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", work, value, unit);
  std::fflush(stdout);
}

double seconds_since(int64_t begin_ns) { return static_cast<double>(now_ns() - begin_ns) / 1e9; }

template <class T>
T must_have(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "kv_big_load: %s\n", result.error().what.c_str());
    std::exit(1);
  }
  return std::move(*result);
}
void must_be(const Result<>& done) {
  must_have(done ? Result<int>(0) : fail(done.error().code, done.error().what));
}

std::string key_of(uint64_t number) {
  char key[17];
  std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(number));
  return key;
}

std::string value_of(uint64_t number) {
  std::string value = key_of(number);
  std::mt19937_64 random(number);
  while (value.size() < kValueBytes) {
    const uint64_t word = random();
    value.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return value;
}

template <class Choose>
void put_batch(kv::Session& session, const Choose& choose) {
  must_be(session.with_tx([&](kv::Transaction& tx) -> Result<> {
    for (uint64_t i = 0; i < kBatch; i++) {
      const uint64_t number = choose();
      TRY_VOID(tx.put(kv::kDefaultTree, key_of(number), value_of(number)));
    }
    return {};
  }));
}

void fill(BlockDevice& disk, uint64_t keys) {
  must_be(kv::TreeStore::create(disk, {}));
  const auto store = must_have(kv::TreeStore::open(disk, {}));
  const auto session = must_have(store->session());
  const int64_t begin = now_ns();
  for (uint64_t next = 0; next < keys;) put_batch(*session, [&] { return next++; });
  report("load in order", static_cast<double>(keys) / seconds_since(begin), "keys/s");
  const kv::StoreStat stat = store->stat();
  report("data in the store", static_cast<double>((stat.leaf + stat.inner) * 4096) / 1e9, "GB");
  std::mt19937_64 random(1);
  for (uint64_t done = 0;; done += kBatch) {
    if (done == kOverwritten) report("overwritten", static_cast<double>(done), "keys");
    put_batch(*session, [&] { return random() % keys; });
  }
}

void open(BlockDevice& disk, uint64_t keys, uint64_t cache_mib) {
  const int64_t begin = now_ns();
  const auto store = must_have(kv::TreeStore::open(disk, {.cache_bytes = cache_mib << 20}));
  const auto session = must_have(store->session());
  report("open", seconds_since(begin) * 1e3, "ms");
  report("to replay", static_cast<double>(store->stat().ring_used_bytes) / 1e6, "MB");
  std::mt19937_64 random(2);
  std::string value;
  for (uint64_t i = 0; i < kReads; i++) {
    const uint64_t number = random() % keys;
    if (!must_have(session->get(kv::kDefaultTree, key_of(number), value)) ||
        value != value_of(number))
      must_be(fail(Errc::kInvalid, key_of(number) + " is not what was put"));
  }
  kv::View view = must_have(session->view());
  uint64_t count = 0;
  must_be(view.iter(kv::kDefaultTree, {}, [&](std::string_view, const kv::Item& item) {
    return item.size == kValueBytes && ++count < kScanned;
  }));
  if (count < std::min(keys, kScanned)) must_be(fail(Errc::kInvalid, "keys are missing"));
  report("memory at most", static_cast<double>(peak_kib()) / 1e3, "MB");
}

}  // namespace
}  // namespace splitring::bench

int main(int argc, char** argv) {
  using namespace splitring;
  using namespace splitring::bench;
  const std::string_view phase = argc > 3 ? argv[1] : "";
  if (!(phase == "fill" && argc == 4) && !(phase == "open" && argc == 5)) {
    std::fputs("usage: kv_big_load fill DISK KEYS | open DISK KEYS CACHE_MIB\n", stderr);
    return 2;
  }
  tools::Disks disks({});
  const auto disk = must_have(disks.open_when_free(argv[2], false));  // who was killed has it yet
  const uint64_t keys = std::strtoull(argv[3], nullptr, 10);
  if (phase == "fill") fill(*disk, keys);
  open(*disk, keys, std::strtoull(argv[4], nullptr, 10));
  return 0;
}
