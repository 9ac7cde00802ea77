// The ceiling: a ring between two processes that checks nothing, grants nothing and has no
// segments. One shared page of indices, slots of Xen's size, Xen's way of holding doorbells back;
// the server moves the data of each slot between a file (or memory) and a shared buffer.
//
//   bare_ring WAIT RW BLOCK_BYTES DEPTH SECONDS DISK
//     WAIT  event | hybrid     sleep at once, or spin 25 us first
//     RW    randread | randwrite | read | write
//     DISK  a file, or mem:BYTES
// The client runs on CPU 0, the server on CPU 1. Prints one JSON line.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>

#include "base/spin_wait.h"
#include "tools/bench/load_report.h"

namespace splitring::bench {
namespace {

constexpr uint32_t kSlots = 32;
constexpr int64_t kSpinNs = 25'000;

struct Slot {
  uint64_t id;
  uint64_t offset;
  uint32_t bytes;
  uint8_t filler[92];
};
static_assert(sizeof(Slot) == 112);

struct SharedRing {
  alignas(64) std::atomic<uint32_t> request_producer;
  std::atomic<uint32_t> request_event;
  alignas(64) std::atomic<uint32_t> response_producer;
  std::atomic<uint32_t> response_event;
  alignas(64) Slot slots[kSlots];
  std::atomic<bool> stop;
  double server_cpu_seconds;
};

struct Work {
  bool hybrid;
  bool writes;
  bool random;
  uint32_t block_bytes;
  uint32_t depth;
  double seconds;
  int file;
  std::byte* memory;
  uint64_t disk_bytes;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

void* shared_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  return memory;
}

// Waits until the other side's producer has moved on from `seen`; false: told to stop.
bool await(const Work& work, SharedRing& ring, std::atomic<uint32_t>& producer,
           std::atomic<uint32_t>& event, uint32_t seen, int doorbell) {
  const auto moved = [&] { return producer.load(std::memory_order_acquire) != seen; };
  if (work.hybrid) {
    const int64_t end = now_ns() + kSpinNs;
    do {
      for (int i = 0; i < 32; i++) {
        if (moved()) return true;
        cpu_relax();
      }
    } while (now_ns() < end);
  }
  for (;;) {
    event.store(seen + 1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (moved()) return true;
    if (ring.stop.load()) return false;
    uint64_t count;
    if (read(doorbell, &count, sizeof count) != sizeof count) die("read");
  }
}

void publish(std::atomic<uint32_t>& producer, std::atomic<uint32_t>& event, uint32_t from,
             uint32_t to, int doorbell) {
  producer.store(to, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const uint64_t one = 1;
  if (to - event.load() < to - from && write(doorbell, &one, sizeof one) != sizeof one)
    die("write");
}

void move_data(const Work& work, const Slot& slot, std::byte* data) {
  std::byte* place = data + slot.id * work.block_bytes;
  const auto offset = static_cast<off_t>(slot.offset);
  if (work.memory != nullptr) {
    std::byte* disk = work.memory + slot.offset;
    work.writes ? std::memcpy(disk, place, slot.bytes) : std::memcpy(place, disk, slot.bytes);
    return;
  }
  const ssize_t moved = work.writes ? pwrite(work.file, place, slot.bytes, offset)
                                    : pread(work.file, place, slot.bytes, offset);
  if (moved != static_cast<ssize_t>(slot.bytes)) die("file");
}

void serve(const Work& work, SharedRing& ring, std::byte* data, int kick, int call) {
  pin_to_cpu(1);
  const double cpu = own_cpu_seconds();
  uint32_t consumed = 0;
  while (await(work, ring, ring.request_producer, ring.request_event, consumed, kick)) {
    const uint32_t from = consumed;
    const uint32_t to = ring.request_producer.load(std::memory_order_acquire);
    for (; consumed != to; consumed++) {
      Slot& slot = ring.slots[consumed % kSlots];
      const Slot request = slot;
      move_data(work, request, data);
      slot.id = request.id;
    }
    publish(ring.response_producer, ring.response_event, from, consumed, call);
  }
  ring.server_cpu_seconds = own_cpu_seconds() - cpu;
}

void drive(const Work& work, SharedRing& ring, int kick, int call, pid_t server) {
  pin_to_cpu(0);
  Latencies latencies;
  std::vector<int64_t> started(kSlots);
  std::vector<uint64_t> free;
  for (uint64_t i = 0; i < work.depth; i++) free.push_back(i);
  std::mt19937_64 random(1);
  const uint64_t blocks = work.disk_bytes / work.block_bytes;
  uint64_t done = 0;
  uint64_t sequence = 0;
  uint32_t produced = 0;
  uint32_t consumed = 0;
  const double cpu = own_cpu_seconds();
  const int64_t begin = now_ns();
  const int64_t end = begin + static_cast<int64_t>(work.seconds * 1e9);
  int64_t now = begin;
  for (;;) {
    const uint32_t from = produced;
    while (now < end && !free.empty()) {
      Slot& slot = ring.slots[produced++ % kSlots];
      slot.id = free.back();
      free.pop_back();
      slot.offset = (work.random ? random() : sequence++) % blocks * work.block_bytes;
      slot.bytes = work.block_bytes;
      started[slot.id] = now;
    }
    if (produced != from) publish(ring.request_producer, ring.request_event, from, produced, kick);
    if (produced == consumed) break;
    await(work, ring, ring.response_producer, ring.response_event, consumed, call);
    const uint32_t to = ring.response_producer.load(std::memory_order_acquire);
    now = now_ns();
    for (; consumed != to; consumed++, done++) {
      const uint64_t id = ring.slots[consumed % kSlots].id;
      latencies.add(now - started[id]);
      free.push_back(id);
    }
  }
  const double seconds = static_cast<double>(now - begin) / 1e9;
  const double client_cpu = own_cpu_seconds() - cpu;
  ring.stop = true;
  const uint64_t one = 1;
  if (write(kick, &one, sizeof one) != sizeof one) die("write");
  waitpid(server, nullptr, 0);
  print_report(done, seconds, work.block_bytes, latencies, client_cpu, ring.server_cpu_seconds);
}

int run(char** argument) {
  const std::string_view rw = argument[2];
  const std::string_view disk = argument[6];
  Work work{};
  work.hybrid = std::string_view(argument[1]) == "hybrid";
  work.writes = rw.ends_with("write");
  work.random = rw.starts_with("rand");
  work.block_bytes = static_cast<uint32_t>(std::strtoul(argument[3], nullptr, 10));
  work.depth = static_cast<uint32_t>(std::strtoul(argument[4], nullptr, 10));
  work.seconds = std::strtod(argument[5], nullptr);
  if (work.depth < 1 || work.depth > kSlots || work.block_bytes == 0) {
    std::fprintf(stderr, "bare_ring: a depth of 1 to %u and a positive block size\n", kSlots);
    return 2;
  }
  if (disk.starts_with("mem:")) {
    work.disk_bytes = std::strtoull(argument[6] + 4, nullptr, 10);
    work.memory = static_cast<std::byte*>(shared_memory(work.disk_bytes));
    std::memset(work.memory, 3, work.disk_bytes);
  } else {
    work.file = open(argument[6], O_RDWR | O_CLOEXEC);
    struct stat status {};
    if (work.file < 0 || fstat(work.file, &status) != 0) die(argument[6]);
    work.disk_bytes = static_cast<uint64_t>(status.st_size);
  }
  auto& ring = *new (shared_memory(sizeof(SharedRing))) SharedRing{};
  ring.request_event = 1;
  ring.response_event = 1;
  auto* data = static_cast<std::byte*>(shared_memory(size_t{kSlots} * work.block_bytes));
  const int kick = eventfd(0, EFD_CLOEXEC);
  const int call = eventfd(0, EFD_CLOEXEC);
  const pid_t server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    serve(work, ring, data, kick, call);
    _exit(0);
  }
  drive(work, ring, kick, call, server);
  return 0;
}

}  // namespace
}  // namespace splitring::bench

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr,
                 "usage: bare_ring event|hybrid randread|randwrite|read|write BLOCK_BYTES DEPTH "
                 "SECONDS FILE|mem:BYTES\n");
    return 2;
  }
  return splitring::bench::run(argv);
}
