// A key-value store that the kiosk serves below a path, and the threads that change it.
//
// A change waits for the disk, and sometimes for other changes; so it is made on one of a few
// threads with sessions of their own, and those that arrive together become durable together.
// Reading is for each serving thread's own session: it takes no lock and waits for no change.
//
// Any thread. Outlives the server that uses it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "blkimage/block_device.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kiosk {

struct KvMountOptions {
  std::string route;     // begins and ends with '/'
  unsigned readers = 1;  // threads that serve it
  bool read_only = false;
  uint64_t most_bytes = uint64_t{64} << 20;  // of a value that is put
  uint64_t cache_bytes = uint64_t{64} << 20;
  std::vector<std::string> names = {};  // that this service is called by
};

class KvMount {
 public:
  static constexpr unsigned kWriters = 4;  // at most: each needs a lane of the disk
  static constexpr size_t kMostWaiting = 4096;
  // Long values that are streamed at the same time: each holds a view, of which a store has 1024
  // for everybody, and keeps the space of what it shows from being used again.
  static constexpr unsigned kMostStreams = 256;
  // That it makes use of: those that read and write, and the store's own thread.
  static constexpr unsigned most_lanes(unsigned readers) { return readers + kWriters + 1; }
  using Job = std::function<void(kv::Session& session)>;

  // kInvalid: the route; else what kv::TreeStore::open() says; kLimit: the disk has fewer lanes
  // than readers and one that writes.
  static Result<std::unique_ptr<KvMount>> open(std::unique_ptr<BlockDevice> disk,
                                               const KvMountOptions& options);
  // Ends what is under way, and closes the store. Precondition: other sessions are gone.
  ~KvMount();

  [[nodiscard]] const KvMountOptions& options() const { return options_; }
  // One of those for readers. Precondition: not more often than there are any.
  [[nodiscard]] std::unique_ptr<kv::Session> take_reader();
  // The right to stream a value, for as long as it lives; null: too many do already.
  using StreamTicket = std::unique_ptr<std::atomic<unsigned>, void (*)(std::atomic<unsigned>*)>;
  [[nodiscard]] StreamTicket begin_stream();
  // Runs it on one of the threads. False: too many wait already.
  bool post(Job job);

 private:
  KvMount(std::unique_ptr<BlockDevice> disk, KvMountOptions options)
      : disk_(std::move(disk)), options_(std::move(options)) {}
  void run(kv::Session& session);

  const std::unique_ptr<BlockDevice> disk_;
  const KvMountOptions options_;
  std::unique_ptr<kv::TreeStore> store_;
  std::vector<std::unique_ptr<kv::Session>> readers_;
  std::vector<std::unique_ptr<kv::Session>> writers_;  // one a thread
  std::atomic<unsigned> streams_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace splitring::kiosk
