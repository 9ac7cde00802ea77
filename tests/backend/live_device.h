// A device of guest 1 on a live Backend, and its frontend played by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "tests/backend/backend_suite.h"
#include "tests/support/backend/hand_guest.h"
#include "tests/support/backend/live_backend.h"

namespace splitring::backend {

// A device of guest 1 that has been attached, and its frontend.
struct LiveDevice {
  explicit LiveDevice(LiveBackend& backend, const std::string& target = "mem:1M",
                      const LiveBackend::Nodes& nodes = {}, uint32_t device = 51712)
      : live(backend), path(LiveBackend::path(1, device)) {
    live.attach(path, target, nodes);
    EXPECT_TRUE(live.wait_for_state(path, XenbusState::kInitWait));
    guest = std::make_unique<HandGuest>(live.guest(1), path);
  }

  bool connect(const RingShape& shape = {}) {
    guest->offer_rings(shape);
    if (!live.wait_for_state(path, XenbusState::kConnected)) return false;
    guest->set_state(XenbusState::kConnected);
    return true;
  }
  // As a frontend that is done; the toolstack keeps the device online.
  bool disconnect() {
    guest->set_state(XenbusState::kClosing);
    if (!live.wait_for_state(path, XenbusState::kClosing)) return false;
    return closed();
  }
  // After a Closing that the backend began, too.
  bool closed() {
    guest->set_state(XenbusState::kClosed);
    if (!live.wait_for_state(path, XenbusState::kClosed)) return false;
    guest->drop_rings();
    guest->set_state(XenbusState::kInitialising);
    return live.wait_for_state(path, XenbusState::kInitWait);
  }
  bool serves() {
    static uint64_t id = 0;
    fill(guest->page(0), static_cast<uint32_t>(++id));
    const bool wrote = guest->ask(write_request(id, 8, {guest->segment(0)})).status == kOkay;
    const bool read = guest->ask(read_request(id, 8, {guest->segment(1)})).status == kOkay;
    return wrote && read &&
           std::memcmp(guest->page(0).data(), guest->page(1).data(), kPageSize) == 0;
  }
  // Offers what is wrong; true if that was refused with a reason and the device can start again.
  bool refused(const RingShape& shape, const std::function<void()>& spoil) {
    guest->make_rings(shape);
    guest->write_nodes(guest->nodes(shape));
    spoil();
    guest->set_state(XenbusState::kInitialised);
    if (!live.wait_for_state(path, XenbusState::kClosing)) return false;
    reason = live.read(path.backend_directory() + "/error");
    guest->forget_nodes();
    return closed() && !reason.empty();
  }
  [[nodiscard]] std::string node(const std::string& name) {
    return live.read(path.backend_directory() + "/" + name);
  }

  LiveBackend& live;
  DevicePath path;
  std::unique_ptr<HandGuest> guest;
  std::string reason;
};

class ScratchImage {
 public:
  explicit ScratchImage(uint64_t bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "image-XXXXXX").string();
    UniqueFd fd(::mkstemp(name.data()));
    if (!fd) throw std::runtime_error("mkstemp");
    path = name;
    resize(bytes);
  }
  ~ScratchImage() { std::filesystem::remove(path); }
  void resize(uint64_t bytes) const { std::filesystem::resize_file(path, bytes); }
  [[nodiscard]] std::string uri() const { return "raw:" + path.string(); }
  std::filesystem::path path;
};

}  // namespace splitring::backend
