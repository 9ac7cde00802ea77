// Walks all 2^32 combinations of (operation, nr_segments, first_sect, last_sect) for several disks
// and both wires, and compares the parser with the oracle at each. The other fields of the slot are
// fixed: a sector near the end of the disk, so that long requests run off it and short ones fit;
// all segments alike. Bytes are what they are in the slot: for a discard nr_segments is its flag
// and the sectors lie in its length, for an indirect request nr_segments is the inner operation.
//
// Prints a line for each disk and wire; the last line is "exhaustive: 4294967296 combinations
// agree", or exit code 1 names the first slot on which they differ.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/ring/validator_comparison.h"

namespace splitring {
namespace {

constexpr uint32_t kOperations = 256;
constexpr uint64_t kCombinations = uint64_t{1} << 32;
constexpr uint64_t kCapacity = uint64_t{1} << 21;

struct Disk {
  const char* name;
  blkif::DiskLimits limits;
};

// The default disk, then each limit moved.
const std::array<Disk, 4> kDisks = {{
    {"default", {.capacity = {kCapacity}}},
    {"all offered",
     {.capacity = {kCapacity},
      .barrier_offered = true,
      .discard_offered = true,
      .indirect_segments_offered = 256}},
    {"4096-byte blocks, all offered",
     {.capacity = {kCapacity},
      .block_bytes = 4096,
      .barrier_offered = true,
      .discard_offered = true,
      .indirect_segments_offered = 4096}},
    {"read-only, no flush",
     {.capacity = {kCapacity},
      .read_only = true,
      .barrier_offered = true,
      .flush_offered = false,
      .discard_offered = true,
      .indirect_segments_offered = 256}},
}};

template <class Wire>
class Walk {
 public:
  explicit Walk(const Disk& disk) : disk_(disk) {}

  // False if the two differ somewhere.
  bool run() {
    const unsigned threads = std::max(2U, std::thread::hardware_concurrency());
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < threads; i++) workers.emplace_back([this] { work(); });
    for (std::thread& worker : workers) worker.join();
    return difference_.empty();
  }
  [[nodiscard]] const std::string& difference() const { return difference_; }
  [[nodiscard]] uint64_t combinations() const { return combinations_; }
  [[nodiscard]] uint64_t accepted() const { return accepted_; }

 private:
  void work() {
    ValidatorComparison<Wire> comparison;
    for (;;) {
      const uint32_t operation = next_operation_++;
      if (operation >= kOperations || stop_) return;
      for (uint32_t count = 0; count < 256; count++) {
        walk_sectors(comparison, static_cast<uint8_t>(operation), static_cast<uint8_t>(count));
        if (stop_) return;
      }
      std::fprintf(stderr, "\r%3u of %u operations", ++done_, kOperations);
    }
  }

  void walk_sectors(ValidatorComparison<Wire>& comparison, uint8_t operation, uint8_t count) {
    typename Wire::Request slot{};
    slot.operation = operation;
    slot.segment_count = count;
    slot.handle = 3;  // of an indirect request, how many segments
    slot.id = 0x0123456789abcdef;
    slot.sector = kCapacity - 40;
    for (uint32_t i = 0; i < slot.segments.size(); i++) slot.segments[i].ref = 1000 + i;
    // Segments beyond the count are looked at by nobody; the first lies where a discard's length
    // and an indirect request's refs do.
    const size_t in_use = count == 0 || count > slot.segments.size() ? 1 : count;
    uint64_t accepted = 0;
    for (uint32_t sectors = 0; sectors < 65536; sectors++) {
      for (size_t i = 0; i < in_use; i++) {
        slot.segments[i].first_sector = static_cast<uint8_t>(sectors >> 8);
        slot.segments[i].last_sector = static_cast<uint8_t>(sectors & 255);
      }
      if (!comparison.judge(slot, disk_.limits)) return differ(comparison.describe(slot));
      accepted += comparison.refusal() == blkif::Refusal::kNone ? 1 : 0;
    }
    accepted_ += accepted;
    combinations_ += 65536;
  }

  void differ(const std::string& how) {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    difference_ = how;
  }

  const Disk& disk_;
  std::atomic<uint32_t> next_operation_ = 0;
  std::atomic<uint32_t> done_ = 0;
  std::atomic<uint64_t> combinations_ = 0;
  std::atomic<uint64_t> accepted_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::string difference_;  // by mutex_
};

template <class Wire>
bool walk(const char* wire, const Disk& disk) {
  const auto start = std::chrono::steady_clock::now();
  Walk<Wire> walk(disk);
  const bool agree = walk.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::fprintf(stderr, "\r");
  if (!agree) {
    std::printf("%s, %s: %s\n", wire, disk.name, walk.difference().c_str());
    return false;
  }
  std::printf("%s, %s: %llu combinations, %llu accepted, %.1f s\n", wire, disk.name,
              static_cast<unsigned long long>(walk.combinations()),
              static_cast<unsigned long long>(walk.accepted()), took.count());
  std::fflush(stdout);
  return walk.combinations() == kCombinations;
}

}  // namespace
}  // namespace splitring

int main() {
  using splitring::blkif::Wire32;
  using splitring::blkif::Wire64;
  for (const splitring::Disk& disk : splitring::kDisks)
    if (!splitring::walk<Wire64>("64-bit", disk) || !splitring::walk<Wire32>("32-bit", disk))
      return 1;
  std::printf("exhaustive: %llu combinations agree\n",
              static_cast<unsigned long long>(splitring::kCombinations));
  return 0;
}
