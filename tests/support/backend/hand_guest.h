// A guest's end of one device on an emulated host, driven by hand: it makes rings, writes what it
// likes about them in the store, and asks request by request.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/support/backend/hand_frontend.h"
#include "xenbus/device_path.h"
#include "xenbus/host.h"
#include "xenbus/nodes.h"

namespace splitring::backend {

struct HandRing {
  std::unique_ptr<SharedPages> pages;
  std::unique_ptr<EventChannel> channel;
  std::unique_ptr<HandFrontend> frontend;
};

struct RingShape {
  uint32_t queues = 1;
  uint32_t pages = 1;  // of each
  blkif::Abi abi = blkif::kNativeAbi;
  bool persistent = false;
};

class HandGuest {
 public:
  HandGuest(std::unique_ptr<Host> host, const DevicePath& path);
  ~HandGuest();

  // New rings, described in the store; then Initialised.
  void offer_rings(const RingShape& shape = {});
  // The parts of it. The rings' nodes as they should be:
  void make_rings(const RingShape& shape);
  [[nodiscard]] FrontendNodes nodes(const RingShape& shape) const;
  void drop_rings() { rings.clear(); }

  void set_state(XenbusState state) { write("state", to_node(state)); }
  void write(const std::string& name, const std::string& value);
  void remove(const std::string& name);
  void write_nodes(const FrontendNodes& nodes);
  void forget_nodes();

  // Pushes, rings if asked to, and waits for the answer, which must be the only one.
  HandAnswer ask(const HandRequest& request, size_t ring = 0);
  void push(const HandRequest& request, size_t ring = 0);
  // Blocks until `count` answers are there; throws after a minute.
  std::vector<HandAnswer> wait_for_answers(size_t count, size_t ring = 0);

  [[nodiscard]] blkif::Segment segment(uint32_t page, uint8_t first = 0, uint8_t last = 7) const;
  [[nodiscard]] std::span<std::byte> page(uint32_t page) const;

  std::vector<HandRing> rings;
  std::unique_ptr<Host> host;
  const DevicePath path;

 private:
  static constexpr uint32_t kDataPages = 32;

  std::unique_ptr<Store> store_;
  std::unique_ptr<GrantShare> share_;
  std::unique_ptr<SharedPages> data_;
};

}  // namespace splitring::backend
