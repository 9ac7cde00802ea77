// A process that commits is killed, again and again: every commit that it reported is there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "base/unique_fd.h"
#include "blkimage/raw_image.h"
#include "kv/tree/check.h"
#include "kv/tree/store.h"
#include "tests/support/blkimage/scratch_file.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Transaction;
using kv::TreeStore;

constexpr int kKills = 60;
constexpr uint64_t kSlots = 300;
constexpr uint64_t kDiskBytes = uint64_t{16} << 20;

// What transaction `n` writes to its slot.
std::string value_of(uint64_t n) {
  const size_t bytes = n % 50 == 0 ? 40'000 : n % 170;
  return std::to_string(n) + std::string(bytes, static_cast<char>('a' + n % 26));
}

// The child: commits until it is killed, and says so of each.
[[noreturn]] void commit_for_ever(const std::string& path, int report) {
  const auto disk = RawImage::open(path, {});
  auto store = TreeStore::open(**disk, {.cache_bytes = 0});
  auto session = std::move(*(*store)->session());
  uint64_t n = std::stoull((*session->view()->get(kDefaultTree, "n")).value_or("0"));
  while (true) {
    n++;
    const auto done = session->with_tx([&](Transaction& tx) -> Result<> {
      TRY_VOID(tx.put(kDefaultTree, "slot" + std::to_string(n % kSlots), value_of(n)));
      return tx.put(kDefaultTree, "n", std::to_string(n));
    });
    if (!done || ::write(report, &n, sizeof n) != sizeof n) ::_exit(1);
  }
}

// The kernel ends a killed process's requests in its own time, and keeps its lock until then.
void wait_for_lock(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);
}

// How many were committed, at least `reported`, and that each slot is as they left it.
void verify(const std::string& path, uint64_t& reported) {
  const auto disk = RawImage::open(path, {});
  ASSERT_TRUE(disk) << disk.error().what;
  auto store = TreeStore::open(**disk, {.cache_bytes = 0, .background = false});
  ASSERT_TRUE(store) << store.error().what;
  auto session = std::move(*(*store)->session());
  auto view = session->view();
  const uint64_t n = std::stoull((*view->get(kDefaultTree, "n")).value_or("0"));
  ASSERT_GE(n, reported);
  ASSERT_LE(n, reported + 1);  // it may have committed one that it did not get to report
  reported = n;
  for (uint64_t i = n > kSlots ? n - kSlots + 1 : 1; i <= n; i++)
    ASSERT_EQ((*view->get(kDefaultTree, "slot" + std::to_string(i % kSlots))).value_or("?"),
              value_of(i));
  const auto report = kv::StoreCheck::run(**store, *session);
  ASSERT_TRUE(report) << report.error().what;
  // A superblock that was being written is the one thing that may be missing.
  for (const std::string& problem : report->problems)
    ASSERT_TRUE(problem.starts_with("superblock")) << problem;
}

TEST(TreeStoreKill, WhatWasReportedIsThere) {
  std::random_device device;
  const uint32_t seed = device();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  // In memory, which outlives a process: durability is another test's.
  const ScratchFile file(ScratchFile::Where::kMemory, Sectors::from_bytes(kDiskBytes));
  const std::string& path = file.path();
  {
    const auto disk = RawImage::open(path, {});
    ASSERT_TRUE(disk) << disk.error().what;
    ASSERT_TRUE(TreeStore::create(**disk, {.ring_bytes = 128 << 10}));
  }
  uint64_t reported = 0;
  for (int kill = 0; kill < kKills && !HasFatalFailure(); kill++) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd in(ends[0]);
    UniqueFd out(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) commit_for_ever(path, out.get());
    out.reset();
    uint64_t n = 0;
    for (uint64_t more = random() % 100; more > 0 && ::read(in.get(), &n, sizeof n) == sizeof n;
         more--)
      reported = n;
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed";
    while (::read(in.get(), &n, sizeof n) == sizeof n) reported = n;
    wait_for_lock(path);
    verify(path, reported);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(reported, 0U);
}

}  // namespace
}  // namespace splitring::test
