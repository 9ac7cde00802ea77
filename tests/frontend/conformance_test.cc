// The promises of every BlockDevice, over a live ring and an honest backend in the same process.
#include "blkimage/shared_lanes.h"
#include "tests/support/device_conformance.h"
#include "tests/support/frontend/peer.h"

namespace splitring {
namespace {

using testing::EmulatedMachineThread;
using testing::Peer;
using testing::PeerOptions;
using testing::ServedPeer;

class RingFixture : public DiskFixture {
 public:
  RingFixture(const PeerOptions& peer_options, const frontend::DiskOptions& options)
      : machine_(1), host_(machine_.host(1)), peer_(machine_, peer_options) {
    disk_ = testing::connect(*host_, peer_, options);
    served_ = std::make_unique<ServedPeer>(peer_);
  }
  BlockDevice& device() override { return *disk_; }

 private:
  EmulatedMachineThread machine_;
  std::unique_ptr<Host> host_;
  Peer peer_;
  std::unique_ptr<ServedPeer> served_;
  std::unique_ptr<frontend::Disk> disk_;
};

frontend::DiskOptions quick_to_close() {
  frontend::DiskOptions options;
  options.close_timeout = std::chrono::milliseconds(1);  // the peer never answers Closing
  return options;
}

// As a Linux backend: indirect requests of 256 segments, four lanes, four-page rings.
struct FullProvider {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    PeerOptions peer;
    peer.disk.capacity = capacity;
    peer.disk.discard = true;
    peer.disk.discard_granularity_bytes = 512;
    frontend::DiskOptions options = quick_to_close();
    options.lanes = 4;
    return std::make_unique<RingFixture>(peer, options);
  }
};

// The least a backend can be, and the least a pool can be: one page, eleven segments, no flush.
struct MinimalProvider {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    PeerOptions peer;
    peer.offer = {.max_queues = 1,
                  .max_ring_page_order = 0,
                  .max_indirect_segments = 0,
                  .persistent_grants = false};
    peer.disk.capacity = capacity;
    peer.disk.flush = false;
    frontend::DiskOptions options = quick_to_close();
    options.pool_pages = frontend::GrantedPool::kMinPages;
    return std::make_unique<RingFixture>(peer, options);
  }
};

// Blocks of 4096 bytes, and a backend that is not trusted: everything is copied.
struct BounceProvider {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    PeerOptions peer;
    peer.disk.capacity = capacity;
    peer.disk.block_bytes = 4096;
    peer.disk.physical_block_bytes = 4096;
    peer.trusted = false;
    frontend::DiskOptions options = quick_to_close();
    options.pool_pages = 256;
    return std::make_unique<RingFixture>(peer, options);
  }
};

// A disk with one ring, and users that share it.
class SharedFixture : public DiskFixture {
 public:
  explicit SharedFixture(const PeerOptions& peer_options)
      : machine_(1), host_(machine_.host(1)), peer_(machine_, peer_options) {
    auto disk = testing::connect(*host_, peer_, quick_to_close());
    served_ = std::make_unique<ServedPeer>(peer_);
    disk_ = must(make_lanes_shared(std::move(disk)));
  }
  BlockDevice& device() override { return *disk_; }

 private:
  EmulatedMachineThread machine_;
  std::unique_ptr<Host> host_;
  Peer peer_;
  std::unique_ptr<ServedPeer> served_;
  std::unique_ptr<BlockDevice> disk_;
};

struct SharedProvider {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    PeerOptions peer;
    peer.disk.capacity = capacity;
    return std::make_unique<SharedFixture>(peer);
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(FrontendShared, DeviceConformance, SharedProvider);

INSTANTIATE_TYPED_TEST_SUITE_P(Frontend, DeviceConformance, FullProvider);
INSTANTIATE_TYPED_TEST_SUITE_P(FrontendMinimal, DeviceConformance, MinimalProvider);
INSTANTIATE_TYPED_TEST_SUITE_P(FrontendBounced, DeviceConformance, BounceProvider);

}  // namespace
}  // namespace splitring
