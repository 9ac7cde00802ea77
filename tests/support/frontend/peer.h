// A backend written by hand, for tests of the frontend: it does what the test says and nothing
// else, honest or not. Also plays the toolstack that attaches the disk. Backend domain 0, frontend
// domain 1, device xvda.
//
// One thread at a time. Waits are bounded by a patience that only a broken test uses up; then, as
// on any error, it throws.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/disk.h"
#include "grant/grant_table.h"
#include "ring/back_ring.h"
#include "ring/blkif_request.h"
#include "tests/support/xenbus/emulated_machine_thread.h"
#include "xenbus/device_path.h"
#include "xenbus/nodes.h"

namespace splitring::testing {

using Wire = frontend::NativeWire;

struct PeerOptions {
  BackendOffer offer{};
  DiskNodes disk{.capacity = Sectors{8192}, .flush = true};
  bool trusted = true;
};

inline constexpr uint32_t kXvda = 51712;

class Peer {
 public:
  Peer(const EmulatedMachineThread& machine, const PeerOptions& options);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // ---- the store -----------------------------------------------------------------------------
  // Both run `last` just before they change the state: to spoil what they wrote.
  using Last = std::function<void()>;
  void offer(const Last& last = {});   // writes what it offers, InitWait
  void accept(const Last& last = {});  // awaits Initialised, maps the rings, tells the disk,
                                       // Connected
  void set_state(XenbusState state);
  // A node of the backend's directory.
  void write(const std::string& node, const std::string& value);
  // A node of the frontend's; empty if there is none.
  std::string read_frontend_node(const std::string& node);
  XenbusState frontend_state();
  void wait_for_frontend(XenbusState state);
  void remove_directory();
  // Lets go of rings and pages, as the death of its process would.
  void let_go();

  // ---- the rings -----------------------------------------------------------------------------
  struct Lane {
    Mapping pages;
    std::unique_ptr<EventChannel> channel;
    std::unique_ptr<BackRing<Wire>> ring;
  };
  Lane& lane(size_t index = 0) { return lanes_.at(index); }
  [[nodiscard]] size_t lane_count() const { return lanes_.size(); }
  std::optional<Wire::Request> try_take(size_t lane = 0);
  Wire::Request take(size_t lane = 0);
  // Stages and publishes an answer; rings if the frontend asked for it.
  void answer(const Wire::Request& request, blkif::Status status = blkif::Status::kOkay,
              size_t lane = 0);
  // The same without any check of what is answered.
  void answer_raw(uint64_t id, uint8_t operation, int16_t status, size_t lane = 0);
  // One of the four indices at the head of the ring: RingLayout's offsets.
  void poke_index(size_t offset, uint32_t value, size_t lane = 0);
  uint32_t peek_index(size_t offset, size_t lane = 0);

  // ---- the data ------------------------------------------------------------------------------
  // The frontend's page under that ref, mapped and kept.
  std::span<std::byte> page(uint32_t ref);
  // The segments of a read or write, direct or indirect. Throws if our own parser refuses it.
  std::vector<blkif::CheckedSegment> segments(const Wire::Request& request);
  // Does what the request asks for to `image`.
  blkif::Status execute(const Wire::Request& request);
  // Takes and answers what is in the ring, as an honest backend would; the number of requests.
  size_t serve(size_t lane = 0);
  std::vector<std::byte>& image() { return image_; }

 private:
  void attach();
  blkif::DiskLimits limits() const;

  std::unique_ptr<Host> host_;
  PeerOptions options_;
  std::string backend_directory_;
  std::string frontend_directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<GrantTable> grants_;
  std::vector<Lane> lanes_;
  std::map<uint32_t, Mapping> pages_;
  std::vector<std::byte> image_;
};

// Serves a peer's rings on a thread of its own until it goes.
class ServedPeer {
 public:
  explicit ServedPeer(Peer& peer);
  ~ServedPeer();

 private:
  void run();
  Peer& peer_;
  UniqueFd stop_;
  std::thread thread_;
};

// Connects a disk to a peer that offers and accepts.
std::unique_ptr<frontend::Disk> connect(Host& host, Peer& peer,
                                        const frontend::DiskOptions& options = {});

// Looks again and again until it is so. Throws when it never is.
void eventually(const std::function<bool()>& condition, const char* what);

}  // namespace splitring::testing
