// What decorators share: a device upon a device, and a lane that passes requests on to a lane
// below. A lane's requests below come from an array made with the lane; what finds none free waits.
#pragma once

#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "blkimage/block_device.h"

namespace splitring {

// Owns the device below. Same geometry, unless a derived class says otherwise.
class ForwardingDevice : public BlockDevice {
 public:
  Result<Sectors> refresh_capacity() override;

 protected:
  // By reference, so that `geometry` may be computed from `below` in the same call.
  ForwardingDevice(const Geometry& geometry, std::unique_ptr<BlockDevice>&& below)
      : BlockDevice(geometry), below_(std::move(below)) {}
  [[nodiscard]] BlockDevice& below() const { return *below_; }

 private:
  std::unique_ptr<BlockDevice> below_;
};

class ForwardingQueue : public BlockQueue {
 public:
  [[nodiscard]] int fd() const final { return both_ ? both_.get() : below_->fd(); }

 protected:
  // A request below, and whose it is.
  struct Forward : BlockRequest {
    ForwardingQueue* lane = nullptr;
    BlockRequest* above = nullptr;
    uint64_t note = 0;  // the derived class's, from send() to answer()
  };

  ForwardingQueue(DeviceState& state, const QueueOptions& options,
                  std::unique_ptr<BlockQueue> below);

  // Makes fd() readable when `also` is, too. Once, before the lane is used; `also` outlives it.
  Result<> wake_also_for(int also);

  // Derived lanes that hold requests back extend these, and call them.
  void do_submit(BlockRequest& request) noexcept override { queued_.push(request); }
  void do_poll() noexcept override;
  bool do_prepare_to_wait() noexcept override;

  // False: this request, and those behind it, wait for a later kick() or poll().
  virtual bool may_start(const BlockRequest&) noexcept { return true; }
  // The copy that is about to go below: a derived lane may change it.
  virtual void send(Forward&) noexcept {}
  // What the request above gets for what came from below.
  virtual IoStatus answer(const Forward& forward) noexcept { return forward.status; }

  // Completes a request in the next poll() without sending it below.
  void complete_later(BlockRequest& request, IoStatus status) noexcept;
  [[nodiscard]] bool has_waiting() const { return !queued_.empty(); }
  void do_kick() noexcept final;
  [[nodiscard]] BlockQueue& below() { return *below_; }

 private:
  static void answered(BlockRequest& below) noexcept;

  void do_sleep() noexcept final;
  Result<std::span<std::byte>> do_allocate(size_t bytes) final {
    return allocate_from(*below_, bytes);
  }
  void do_release(std::span<std::byte> bytes) noexcept final { release_to(*below_, bytes); }

  std::unique_ptr<BlockQueue> below_;
  UniqueFd both_;  // an epoll of the lane below and of another descriptor
  std::vector<Forward> forwards_;
  RequestList free_;
  RequestList queued_;  // not yet sent below
  RequestList done_;    // complete without having been there
};

}  // namespace splitring
