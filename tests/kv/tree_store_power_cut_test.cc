// Power cuts at every moment of mixed workloads: after each, every transaction whose commit had
// returned is there, of the one that was under way all or nothing, and check finds nothing wrong.
//
// SPLITRING_POWER_CUT_STATES: how many disks to look at (20000); SPLITRING_SEED: where to begin.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "blkimage/memory_disk.h"
#include "blkimage/power_cut_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tests/support/sanitized.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;
using Model = std::map<std::string, std::string>;

constexpr size_t kDiskBytes = size_t{1} << 20;
constexpr size_t kSubsetsOfMoment = 32;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Runs transactions on a store and remembers what must be there when.
class Workload {
 public:
  explicit Workload(uint64_t seed) : random_(seed) {}

  struct Commit {
    size_t begun;     // events before it
    size_t returned;  // events when it was durable
  };
  // models()[i] is what is there after i commits.
  [[nodiscard]] const std::vector<Model>& models() const { return models_; }
  [[nodiscard]] const std::vector<Commit>& commits() const { return commits_; }

  void run(PowerCutDisk& disk, size_t transactions, const Model& there) {
    models_.push_back(there);
    // What is free is discarded as early as it may be.
    auto store =
        TreeStore::open(disk, {.cache_bytes = 0, .background = false, .discard_above_bytes = 0});
    ASSERT_TRUE(store) << store.error().what;
    auto session = std::move(*(*store)->session());
    for (size_t i = 0; i < transactions; i++) {
      Model next = models_.back();
      const size_t begun = disk.events();
      const auto done = session->with_tx([&](Transaction& tx) { return transaction(tx, next); });
      ASSERT_TRUE(done || done.error().code == Errc::kNoSpace) << done.error().what;
      if (done) {
        models_.push_back(std::move(next));
        commits_.push_back({begun, disk.events()});
      }
      if (random_() % 6 == 0) {
        const auto moved = session->checkpoint();
        ASSERT_TRUE(moved) << moved.error().what;
      }
    }
    discarded_ += (*store)->stat().discarded;
  }
  [[nodiscard]] uint64_t discarded() const { return discarded_; }  // pages

 private:
  std::string value() {
    const uint64_t kind = random_() % 12;
    const size_t bytes = kind < 8    ? random_() % 60
                         : kind < 11 ? random_() % 1200
                                     : random_() % 30'000;
    return std::string(bytes, static_cast<char>('a' + random_() % 26));
  }
  Result<> transaction(Transaction& tx, Model& next) {
    const size_t changes = random_() % 10 == 0 ? 60 : 1 + random_() % 8;
    for (size_t i = 0; i < changes; i++) {
      const std::string key = "k" + std::to_string(random_() % 120);
      const uint64_t what = random_() % 10;
      if (what < 6) {
        next[key] = value();
        TRY_VOID(tx.put(kDefaultTree, key, next[key]));
      } else if (what < 8) {
        next.erase(key);
        TRY_VOID(tx.remove(kDefaultTree, key));
      } else if (what < 9 && next.contains(key)) {
        const std::string to = "k" + std::to_string(random_() % 120);
        TRY_VOID(tx.rename(kDefaultTree, key, to));
        const std::string moved = next[key];
        next.erase(key);
        next[to] = moved;
      } else if (next.contains(key)) {
        const std::string bytes = value();
        std::string& old = next[key];
        const uint64_t offset = random_() % (old.size() + 10);
        if (old.size() < offset + bytes.size()) old.resize(offset + bytes.size());
        old.replace(offset, bytes.size(), bytes);
        TRY_VOID(tx.write_at(kDefaultTree, key, offset, bytes));
      }
    }
    return {};
  }

  std::mt19937_64 random_;
  std::vector<Model> models_;
  std::vector<Commit> commits_;
  uint64_t discarded_ = 0;
};

Result<Model> contents(Session& session) {
  Model model;
  auto view = TRY(session.view());
  auto cursor = view.cursor(kDefaultTree);
  std::string value;
  for (bool more = TRY(cursor.first()); more; more = TRY(cursor.next())) {
    TRY_VOID(view.value(cursor, value));
    model[std::string(cursor.key())] = value;
  }
  return model;
}

std::vector<std::byte> fresh_store() {
  auto disk = std::move(*PowerCutDisk::create(std::vector<std::byte>(kDiskBytes)));
  EXPECT_TRUE(TreeStore::create(*disk, {.ring_bytes = 64 << 10}));
  return disk->image_keeping_all(disk->events());
}

// A disk that is given one image after another.
class ImageDisk {
 public:
  ImageDisk() : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(kDiskBytes)))) {
    lane_ = std::move(*disk_->open_queue({}));
  }
  BlockDevice& show(const std::vector<std::byte>& image) {
    EXPECT_TRUE(lane_->write({0}, image));
    return *disk_;
  }

 private:
  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<BlockQueue> lane_;
};

class PowerCuts {
 public:
  PowerCuts(uint64_t seed, uint64_t wanted) : seed_(seed), wanted_(wanted), random_(seed) {}

  // Every moment of one workload; how many disks were looked at.
  void run() {
    auto disk = std::move(*PowerCutDisk::create(fresh_store()));
    Workload workload(seed_);
    workload.run(*disk, 40, {});
    discarded_ += workload.discarded();
    every_moment(*disk, workload, true);
  }
  [[nodiscard]] uint64_t states() const { return states_; }
  [[nodiscard]] uint64_t second_cuts() const { return second_cuts_; }
  [[nodiscard]] uint64_t discarded() const { return discarded_; }

 private:
  void every_moment(const PowerCutDisk& disk, const Workload& workload, bool cut_again) {
    for (size_t moment = 0; moment <= disk.events(); moment++) {
      if (states_ >= wanted_ || testing::Test::HasFatalFailure()) return;
      const auto at_risk = disk.at_risk(moment);
      const uint64_t subsets =
          at_risk.size() < 6 ? uint64_t{1} << at_risk.size() : kSubsetsOfMoment;
      for (uint64_t subset = 0; subset < subsets; subset++) {
        std::vector<size_t> survivors;
        const uint64_t bits = at_risk.size() < 6 ? subset : random_();
        for (size_t i = 0; i < at_risk.size(); i++)
          if ((bits >> (i % 64) & 1) != 0) survivors.push_back(at_risk[i]);
        look(disk.image_keeping(moment, survivors), moment, workload, false);
      }
      if (at_risk.empty()) continue;
      look(disk.image_torn(moment, random_()), moment, workload, false);
      look(disk.image_torn(moment, random_()), moment, workload, cut_again && random_() % 8 == 0);
    }
  }

  void look(const std::vector<std::byte>& image, size_t moment, const Workload& workload,
            bool cut_again) {
    SCOPED_TRACE("seed " + std::to_string(seed_) + ", moment " + std::to_string(moment));
    states_++;
    auto store = TreeStore::open(disk_.show(image), {.cache_bytes = 0, .background = false});
    ASSERT_TRUE(store) << store.error().what;
    auto session = std::move(*(*store)->session());
    const auto there = contents(*session);
    ASSERT_TRUE(there) << there.error().what;
    size_t returned = 0;
    while (returned < workload.commits().size() && workload.commits()[returned].returned <= moment)
      returned++;
    const bool under_way = returned < workload.commits().size() &&
                           workload.commits()[returned].begun < moment &&
                           *there == workload.models()[returned + 1];
    ASSERT_TRUE(under_way || *there == workload.models()[returned]);
    const auto report = kv::StoreCheck::run(**store, *session);
    ASSERT_TRUE(report) << report.error().what;
    // A superblock that was being written when the power went is the one thing that may be torn.
    for (const std::string& problem : report->problems)
      ASSERT_TRUE(problem.starts_with("superblock")) << problem;
    if (!cut_again) return;
    second_cuts_++;
    session.reset();
    store->reset();
    auto disk = std::move(*PowerCutDisk::create(image));
    Workload more(random_());
    more.run(*disk, 4, *there);
    every_moment(*disk, more, false);
  }

  const uint64_t seed_;
  const uint64_t wanted_;
  std::mt19937_64 random_;
  ImageDisk disk_;
  uint64_t states_ = 0;
  uint64_t second_cuts_ = 0;
  uint64_t discarded_ = 0;
};

TEST(TreeStorePowerCut, EveryMomentLeavesWhatWasCommitted) {
  const uint64_t wanted = from_environment("SPLITRING_POWER_CUT_STATES", test::often(20'000));
  uint64_t states = 0;
  uint64_t second_cuts = 0;
  uint64_t discarded = 0;
  for (uint64_t seed = from_environment("SPLITRING_SEED", 1); states < wanted; seed++) {
    PowerCuts cuts(seed, wanted - states);
    cuts.run();
    ASSERT_GT(cuts.states(), 0U);
    states += cuts.states();
    second_cuts += cuts.second_cuts();
    discarded += cuts.discarded();
    if (HasFailure()) return;
  }
  EXPECT_GT(second_cuts, 0U);
  EXPECT_GT(discarded, 0U);
  std::cout << states << " disks after a cut, " << second_cuts << " of them cut again, "
            << discarded << " pages discarded\n";
}

}  // namespace
}  // namespace splitring::test
