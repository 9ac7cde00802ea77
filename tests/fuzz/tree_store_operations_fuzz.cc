// libFuzzer: the input is a program of operations on a store, which must agree with a map after
// each transaction, checkpoint and crash.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "blkimage/memory_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/store.h"

namespace {

using namespace splitring;
using Model = std::map<std::string, std::string>;

constexpr size_t kDiskBytes = size_t{1} << 20;
const kv::StoreOptions kOptions{.cache_bytes = 0, .background = false};

void require(bool condition) {
  if (!condition) std::abort();
}

class Program {
 public:
  Program(const uint8_t* data, size_t size) : at_(data), end_(data + std::min<size_t>(size, 4096)) {
    disk_ = std::move(*MemoryDisk::create(Sectors::from_bytes(kDiskBytes)));
    require(kv::TreeStore::create(*disk_, {.ring_bytes = 64 << 10}).has_value());
    open();
  }

  void run() {
    while (at_ < end_) {
      const uint8_t what = byte() % 16;
      if (what < 12) {
        transaction();
      } else if (what < 14) {
        const auto done = session_->checkpoint();
        require(done || done.error().code == Errc::kNoSpace);
      } else {
        session_.reset();
        store_.reset();
        open();
      }
      compare();
    }
    const auto report = kv::StoreCheck::run(*store_, *session_);
    require(report && report->clean());
  }

 private:
  uint8_t byte() { return at_ < end_ ? *at_++ : 0; }
  std::string key() {
    const uint8_t what = byte();
    return std::string(1 + (what % 7 == 0 ? 900U : what % 5), static_cast<char>('a' + what % 11));
  }
  std::string value() {
    const uint8_t what = byte();
    return std::string(what < 200 ? what : size_t{what} * 40, static_cast<char>(what));
  }
  void open() {
    store_ = std::move(*kv::TreeStore::open(*disk_, kOptions));
    session_ = std::move(*store_->session());
  }

  void transaction() {
    Model next = model_;
    const bool fails = byte() % 8 == 0;
    const auto done = session_->with_tx([&](kv::Transaction& tx) -> Result<> {
      for (uint8_t i = byte() % 16; i > 0; i--) TRY_VOID(change(tx, next));
      return fails ? Result<>(fail(Errc::kConflict, "no")) : Result<>();
    });
    require(done || done.error().code == Errc::kConflict || done.error().code == Errc::kNoSpace);
    if (done) model_ = std::move(next);
  }

  Result<> change(kv::Transaction& tx, Model& next) {
    const std::string name = key();
    const uint8_t what = byte() % 8;
    if (what < 3) {
      next[name] = value();
      return tx.put(kv::kDefaultTree, name, next[name]);
    }
    if (what < 5) {
      next.erase(name);
      return tx.remove(kv::kDefaultTree, name);
    }
    if (what == 5) {
      const auto range = kv::KeyRange::prefix(name.substr(0, 1));
      next.erase(next.lower_bound(range.from), next.lower_bound(*range.to));
      TRY(tx.remove_range(kv::kDefaultTree, range));
      return {};
    }
    const auto there = next.find(name);
    if (there == next.end()) return {};
    if (what == 6) {
      const std::string to = key();
      TRY_VOID(tx.rename(kv::kDefaultTree, name, to));
      const std::string moved = there->second;
      next.erase(there);
      next[to] = moved;
      return {};
    }
    const std::string bytes = value();
    const uint64_t offset = size_t{byte()} * 30;
    if (there->second.size() < offset + bytes.size()) there->second.resize(offset + bytes.size());
    there->second.replace(offset, bytes.size(), bytes);
    return tx.write_at(kv::kDefaultTree, name, offset, bytes);
  }

  void compare() {
    auto view = std::move(*session_->view());
    auto cursor = view.cursor(kv::kDefaultTree);
    auto expected = model_.begin();
    std::string found;
    auto more = cursor.first();
    for (; more && *more; more = cursor.next(), ++expected) {
      require(expected != model_.end() && cursor.key() == expected->first);
      require(view.value(cursor, found) && found == expected->second);
    }
    require(more && expected == model_.end());
  }

  const uint8_t* at_;
  const uint8_t* end_;
  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<kv::TreeStore> store_;
  std::unique_ptr<kv::Session> session_;
  Model model_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Program(data, size).run();
  return 0;
}
