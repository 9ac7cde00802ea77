// A load for a vhost-user-blk export (qemu-storage-daemon's), without a guest: the closest peer to
// a Xen ring, since it too is shared memory with doorbells. One split virtqueue with event indices.
//
//   vhost_user_load SOCKET RW BLOCK_BYTES DEPTH SECONDS DISK_BYTES SERVER_PID
// Runs on CPU 0; prints one JSON line.
//
// Sources: the vhost-user protocol (QEMU's docs/interop/vhost-user.rst) and virtio 1.1, 2.6.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>

#include "tools/bench/load_report.h"

namespace splitring::bench {
namespace {

constexpr uint32_t kQueueSize = 128;

struct Descriptor {
  uint64_t address;
  uint32_t bytes;
  uint16_t flags;  // 1: another follows; 2: the device writes it
  uint16_t next;
};
struct Available {
  uint16_t flags;
  uint16_t index;
  uint16_t ring[kQueueSize];
  uint16_t used_event;  // wake us when the used index passes this
};
struct UsedElement {
  uint32_t head;
  uint32_t bytes;
};
struct Used {
  uint16_t flags;
  uint16_t index;
  UsedElement ring[kQueueSize];
  uint16_t available_event;  // wake the device when the available index passes this
};
struct BlockHeader {
  uint32_t type;  // 0 read, 1 write
  uint32_t reserved;
  uint64_t sector;
};
struct Queue {
  alignas(4096) Descriptor descriptors[kQueueSize];
  alignas(4096) Available available;
  alignas(4096) Used used;
  alignas(4096) BlockHeader headers[kQueueSize];
  uint8_t status[kQueueSize];
};

enum Message : uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kSetMemoryTable = 5,
  kSetQueueSize = 8,
  kSetQueueAddress = 9,
  kSetQueueBase = 10,
  kSetQueueKick = 12,
  kSetQueueCall = 13,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kSetQueueEnable = 18,
};
constexpr uint64_t kFeatureEventIndex = uint64_t{1} << 29;
constexpr uint64_t kFeatureProtocol = uint64_t{1} << 30;
constexpr uint64_t kFeatureVersion1 = uint64_t{1} << 32;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <class T>
T load(const T& shared) {
  return __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
}
template <class T>
void store(T& shared, T value) {
  __atomic_store_n(&shared, value, __ATOMIC_RELEASE);
}

class Connection {
 public:
  explicit Connection(const char* path) : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die(path);
  }

  template <class Body>
  void tell(Message message, Body body, int descriptor = -1) {
    uint32_t header[3] = {message, 1, sizeof body};
    iovec parts[2] = {{header, sizeof header}, {&body, sizeof body}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr frame{};
    frame.msg_iov = parts;
    frame.msg_iovlen = 2;
    if (descriptor >= 0) {
      frame.msg_control = control;
      frame.msg_controllen = sizeof control;
      cmsghdr* rights = CMSG_FIRSTHDR(&frame);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
    }
    if (sendmsg(socket_, &frame, 0) < 0) die("sendmsg");
  }
  void tell(Message message) {
    const uint32_t header[3] = {message, 1, 0};
    if (send(socket_, header, sizeof header, 0) != sizeof header) die("send");
  }
  uint64_t ask(Message message) {
    tell(message);
    uint32_t header[3];
    uint64_t value;
    if (recv(socket_, header, sizeof header, MSG_WAITALL) != sizeof header ||
        recv(socket_, &value, sizeof value, MSG_WAITALL) != sizeof value)
      die("recv");
    return value;
  }

 private:
  int socket_;
};

struct Load {
  bool writes;
  bool random;
  uint32_t block_bytes;
  uint32_t depth;
  double seconds;
  uint64_t disk_bytes;
  int server;
};

struct Device {
  Queue* queue;
  std::byte* data;
  int kick;
  int call;
};

Device set_up(Connection& peer, const Load& load) {
  const size_t bytes = sizeof(Queue) + size_t{load.depth} * load.block_bytes;
  const int memory = memfd_create("vhost-user-load", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, static_cast<off_t>(bytes)) != 0) die("memfd");
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory, 0);
  if (base == MAP_FAILED) die("mmap");
  Device device{static_cast<Queue*>(base), static_cast<std::byte*>(base) + sizeof(Queue),
                eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};

  peer.tell(kSetOwner);
  const uint64_t offered = peer.ask(kGetFeatures);
  const uint64_t wanted = offered & (kFeatureVersion1 | kFeatureEventIndex | kFeatureProtocol);
  if ((wanted & kFeatureEventIndex) == 0) die("no event indices");
  if ((wanted & kFeatureProtocol) != 0) {
    peer.ask(kGetProtocolFeatures);
    peer.tell(kSetProtocolFeatures, uint64_t{0});
  }
  peer.tell(kSetFeatures, wanted);
  const auto address = reinterpret_cast<uint64_t>(base);
  struct {
    uint32_t regions, padding;
    uint64_t guest, size, user, offset;
  } table{1, 0, address, bytes, address, 0};
  peer.tell(kSetMemoryTable, table, memory);
  struct QueueNumber {
    uint32_t queue, number;
  };
  peer.tell(kSetQueueSize, QueueNumber{0, kQueueSize});
  peer.tell(kSetQueueBase, QueueNumber{0, 0});
  struct {
    uint32_t queue, flags;
    uint64_t descriptors, used, available, log;
  } addresses{0,
              0,
              reinterpret_cast<uint64_t>(device.queue->descriptors),
              reinterpret_cast<uint64_t>(&device.queue->used),
              reinterpret_cast<uint64_t>(&device.queue->available),
              0};
  peer.tell(kSetQueueAddress, addresses);
  peer.tell(kSetQueueCall, uint64_t{0}, device.call);
  peer.tell(kSetQueueKick, uint64_t{0}, device.kick);
  if ((wanted & kFeatureProtocol) != 0) peer.tell(kSetQueueEnable, QueueNumber{0, 1});

  for (uint32_t i = 0; i < load.depth; i++) {  // request i owns descriptors 3i to 3i + 2
    const auto first = static_cast<uint16_t>(3 * i);
    Descriptor* chain = &device.queue->descriptors[first];
    chain[0] = {reinterpret_cast<uint64_t>(&device.queue->headers[i]), sizeof(BlockHeader), 1,
                static_cast<uint16_t>(first + 1)};
    chain[1] = {reinterpret_cast<uint64_t>(device.data + size_t{i} * load.block_bytes),
                load.block_bytes, static_cast<uint16_t>(load.writes ? 1 : 3),
                static_cast<uint16_t>(first + 2)};
    chain[2] = {reinterpret_cast<uint64_t>(&device.queue->status[i]), 1, 2, 0};
  }
  return device;
}

// Waits until the used index has moved on from `seen`.
void await_used(const Device& device, uint16_t seen) {
  while (load(device.queue->used.index) == seen) {
    store(device.queue->available.used_event, seen);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (load(device.queue->used.index) != seen) return;
    uint64_t count;
    // The peer may have made the doorbell non-blocking.
    while (read(device.call, &count, sizeof count) != sizeof count) {
      pollfd entry{device.call, POLLIN, 0};
      poll(&entry, 1, -1);
    }
  }
}

void drive(const Device& device, const Load& load_of) {
  Queue& queue = *device.queue;
  Latencies latencies;
  std::vector<int64_t> started(load_of.depth);
  std::vector<uint32_t> free;
  for (uint32_t i = 0; i < load_of.depth; i++) free.push_back(i);
  std::mt19937_64 random(1);
  const uint64_t blocks = load_of.disk_bytes / load_of.block_bytes;
  uint16_t available = 0;
  uint16_t used = 0;
  uint64_t done = 0;
  uint64_t sequence = 0;
  const double cpu = own_cpu_seconds();
  const double server_cpu = process_cpu_seconds(load_of.server);
  const int64_t begin = now_ns();
  const int64_t end = begin + static_cast<int64_t>(load_of.seconds * 1e9);
  int64_t now = begin;
  for (;;) {
    const uint16_t from = available;
    while (now < end && !free.empty()) {
      const uint32_t i = free.back();
      free.pop_back();
      const uint64_t block = (load_of.random ? random() : sequence++) % blocks;
      queue.headers[i] = {load_of.writes ? 1U : 0U, 0, block * load_of.block_bytes / 512};
      queue.status[i] = 0xff;
      queue.available.ring[available++ % kQueueSize] = static_cast<uint16_t>(3 * i);
      started[i] = now;
    }
    if (available != from) {
      store(queue.available.index, available);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      const uint16_t event = load(queue.used.available_event);
      const uint64_t one = 1;
      if (static_cast<uint16_t>(available - event - 1) < static_cast<uint16_t>(available - from) &&
          write(device.kick, &one, sizeof one) != sizeof one)
        die("kick");
    }
    if (free.size() == load_of.depth) break;
    await_used(device, used);
    const uint16_t to = load(queue.used.index);
    now = now_ns();
    for (; used != to; used++, done++) {
      const uint32_t i = queue.used.ring[used % kQueueSize].head / 3;
      if (queue.status[i] != 0) die("the device reported an error");
      latencies.add(now - started[i]);
      free.push_back(i);
    }
  }
  print_report(done, static_cast<double>(now - begin) / 1e9, load_of.block_bytes, latencies,
               own_cpu_seconds() - cpu, process_cpu_seconds(load_of.server) - server_cpu);
}

}  // namespace
}  // namespace splitring::bench

int main(int argc, char** argv) {
  using namespace splitring::bench;
  if (argc != 8) {
    std::fprintf(stderr,
                 "usage: vhost_user_load SOCKET randread|randwrite|read|write BLOCK_BYTES DEPTH "
                 "SECONDS DISK_BYTES SERVER_PID\n");
    return 2;
  }
  const std::string_view rw = argv[2];
  Load load{rw.ends_with("write"),
            rw.starts_with("rand"),
            static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10)),
            static_cast<uint32_t>(std::strtoul(argv[4], nullptr, 10)),
            std::strtod(argv[5], nullptr),
            std::strtoull(argv[6], nullptr, 10),
            std::atoi(argv[7])};
  if (load.depth < 1 || load.depth * 3 > kQueueSize || load.block_bytes == 0) {
    std::fprintf(stderr, "vhost_user_load: a depth of 1 to %u\n", kQueueSize / 3);
    return 2;
  }
  pin_to_cpu(0);
  Connection peer(argv[1]);
  drive(set_up(peer, load), load);
  return 0;
}
