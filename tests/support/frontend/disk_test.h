// What most tests of the frontend start from: an emulated host, a peer that offers a disk, and a
// disk connected to it with one lane open. The test's thread plays both sides in turn.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "frontend/disk.h"
#include "tests/support/device_conformance.h"
#include "tests/support/frontend/peer.h"

namespace splitring::testing {

class DiskTest : public ::testing::Test {
 protected:
  // Peers of most tests do not answer Closing.
  static frontend::DiskOptions hasty() {
    frontend::DiskOptions options;
    options.close_timeout = std::chrono::milliseconds(1);
    return options;
  }

  void start(const PeerOptions& peer_options = {}, const frontend::DiskOptions& options = hasty()) {
    peer_ = std::make_unique<Peer>(machine_, peer_options);
    disk_ = connect(*host_, *peer_, options);
    lane_ = must(disk_->open_queue({.polling = SpinWait::Mode::kOff}));
  }

  // Submits and kicks; the peer sees it.
  void send(TestRequest& request) {
    lane_->submit(request);
    lane_->kick();
  }
  // Polls until that request has completed.
  IoStatus finish(TestRequest& request) {
    eventually(
        [&] {
          lane_->poll();
          return request.completions != 0;
        },
        "the completion of a request");
    EXPECT_EQ(request.completions, 1);
    return request.status;
  }
  // The next request, while the lane is polled so that it may follow the link.
  Wire::Request take_from_lane() {
    std::optional<Wire::Request> request;
    eventually(
        [&] {
          lane_->poll();
          request = peer_->try_take();
          return request.has_value();
        },
        "a request");
    return *request;
  }
  void wait_for_phase(frontend::LinkPhase phase) {
    eventually([&] { return disk_->statistics().phase == phase; }, to_string(phase));
  }

  EmulatedMachineThread machine_{1};
  std::unique_ptr<Host> host_ = machine_.host(1);
  std::unique_ptr<Peer> peer_;
  std::unique_ptr<frontend::Disk> disk_;
  std::unique_ptr<BlockQueue> lane_;
};

}  // namespace splitring::testing
