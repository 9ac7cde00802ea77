// A disk in memory that does as a test says: withholds completions until they are released, fails
// what it is told to, and remembers what came in which order.
//
// The test may act from another thread than those of the lanes.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "blkimage/block_device.h"

namespace splitring::backend {

class ScriptedDisk final : public BlockDevice {
 public:
  struct Seen {
    Operation operation;
    Sectors first;
    uint64_t bytes;
    size_t in_flight_before;  // requests that this one joined
  };

  explicit ScriptedDisk(const Geometry& geometry);

  // Everything that comes from now on stays in flight until release(); false lets all go.
  void withhold(bool on);
  // Lets the `index`th of the requests in flight complete, in the order of their coming.
  void release(size_t index);
  // What is in flight is never done, and its lane forgets it: its process was killed.
  void forget();
  // What requests are answered with; a failed one does nothing. Decided when it completes.
  void set_verdict(std::function<IoStatus(const BlockRequest&)> verdict);
  // Runs whenever somebody wants the capacity to be learnt anew, on their thread.
  void when_looked_at(std::function<void()> hook);
  Result<Sectors> refresh_capacity() override;
  void resize(Sectors capacity) { set_capacity(capacity); }

  [[nodiscard]] std::vector<Seen> seen() const;
  [[nodiscard]] size_t held() const;
  // Blocks until `count` requests are held; false after a minute.
  [[nodiscard]] bool wait_until_held(size_t count) const;
  // A copy of the data.
  [[nodiscard]] std::vector<std::byte> bytes() const;

  [[nodiscard]] std::string name() const override { return "scripted"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;

 private:
  class Lane;
  struct Held {
    BlockRequest* request;
    Lane* lane;
  };

  void execute(BlockRequest& request);
  void let_go(size_t index);

  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  bool withholding_ = false;
  std::function<IoStatus(const BlockRequest&)> verdict_;
  std::function<void()> looked_at_;
  std::vector<Held> held_;
  std::vector<Seen> seen_;
  std::vector<std::byte> bytes_;
};

}  // namespace splitring::backend
